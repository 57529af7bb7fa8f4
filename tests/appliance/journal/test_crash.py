"""kill -9 at any moment: what was committed stands whole, and the rest is not there."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from appliance.journal import Journal, Outbox

from ..slide_samples import Samples
from .crash_child import FIELDS_A_SLIDE, FINDINGS, KEEP_TOP

CHILD = Path(__file__).with_name("crash_child.py")
KILLS = 4


def killed_while(work: str, path: Path, chance: random.Random) -> list[str]:
    """Start the child, kill it after some commits at an arbitrary instant; what it said it had committed."""
    with subprocess.Popen([sys.executable, CHILD, path, work], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        heard = [child.stdout.readline() for _ in range(chance.randrange(12))]
        time.sleep(chance.uniform(0, 0.02))  # any instant between and within commits
        child.kill()
        heard += child.stdout.readlines()
    assert child.returncode == -9
    return [line.strip() for line in heard if line.endswith("\n")]


def test_a_killed_scan_resumes_at_the_next_unrecorded_field(tmp_path: Path, samples: Samples) -> None:
    path, chance, committed = tmp_path / "journal.sqlite", random.Random(20261123), 0
    for kill in range(KILLS):
        said = [int(line) for line in killed_while("long", path, chance)]
        with Journal.open(path) as journal:  # reads the whole file for damage
            (run,) = journal.unfinished()
            assert run == samples.run(1, resumed=kill)
            recorded = len(journal.recorded_indexes("run-1"))
            assert recorded in (committed + len(said), committed + len(said) + 1)
            assert said == list(range(committed, committed + len(said)))
            assert journal.fields("run-1") == [samples.field(index) for index in range(recorded)]
            found = [finding for index in range(recorded) for finding in samples.findings(index, FINDINGS)]
            assert sorted(journal.findings("run-1"), key=lambda f: (f.field_index, f.x_px)) == found
            best = sorted(found, key=lambda f: (-f.probability, f.field_index, f.x_px))[:KEEP_TOP]
            assert journal.pictures("run-1") == [(f, bytes([f.field_index % 256]) * 3000) for f in best]
            assert journal.verify_audit().ok
            committed = recorded
    assert committed > 0


def test_a_verdict_stands_with_its_audit_row_and_its_message_or_not_at_all(tmp_path: Path) -> None:
    path, chance, finished = tmp_path / "journal.sqlite", random.Random(7), 0
    for _ in range(KILLS):
        said = killed_while("short", path, chance)
        with Journal.open(path) as journal, Outbox.open(path) as outbox:
            runs = journal.runs()
            done = [run for run in runs if journal.verdict(run.run_id) is not None]
            rows = [row for row in journal.audit_rows() if row.action == "slide.verdict"]
            assert [row.detail["run_id"] for row in rows] == [run.run_id for run in done]
            assert all(outbox.delivery(str(row.detail["key"])) for row in rows)
            assert outbox.pending_count() == len(done)
            assert len(done) >= finished + len(said)
            assert len(journal.unfinished()) <= 1
            assert all(len(journal.fields(run.run_id)) == FIELDS_A_SLIDE for run in done)
            assert journal.verify_audit().ok
            finished = len(done)
    assert finished > 0
