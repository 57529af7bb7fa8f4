"""The journal: what is written comes back, in one piece or not at all."""

from __future__ import annotations

import resource
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

from appliance.errors import JournalError
from appliance.journal import Journal, JournalReader, OutboxMessage, require_free_space
from appliance.journal.database import size_bytes
from appliance.records import Outcome

from ..slide_samples import Samples


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def test_every_record_comes_back_as_it_was(path: Path, samples: Samples) -> None:
    run, records = samples.run(), [samples.field(0), samples.field(1, Outcome.BLANK), samples.field(2, Outcome.FAILED)]
    found = samples.findings(0, 25)
    with Journal.open(path) as journal:
        journal.begin(run, '{"fields": []}')
        journal.record_field(run.run_id, records[0], found)
        for record in records[1:]:
            journal.record_field(run.run_id, record)
    with JournalReader.open(path) as reader:
        assert reader.run(run.run_id) == run
        assert reader.plan_json(run.run_id) == '{"fields": []}'
        assert reader.fields(run.run_id) == records
        assert sorted(reader.findings(run.run_id), key=lambda f: f.x_px) == found
        assert reader.recorded_indexes(run.run_id) == {0, 1, 2}


def test_findings_come_most_probable_first_and_may_be_limited(path: Path, samples: Samples) -> None:
    found = samples.findings(0, 40)
    with Journal.open(path) as journal:
        journal.begin(samples.run(), "{}")
        journal.record_field("run-1", samples.field(0), found)
        expected = sorted((f for f in found if f.probability >= 0.5), key=lambda f: -f.probability)
        assert journal.findings("run-1", 0.5) == expected
        assert journal.findings("run-1", 0.5, limit=3) == expected[:3]


def test_numpy_numbers_are_plain_numbers_in_the_file(path: Path, samples: Samples) -> None:
    record = replace(samples.field(np.int64(0)), x_um=np.float32(1.5), counts={"a": np.int32(2)})
    finding = replace(samples.findings(0, 1)[0], probability=np.float32(0.25), x_px=np.float64(3.5))
    with Journal.open(path) as journal:
        journal.begin(samples.run(), "{}")
        journal.record_field("run-1", record, [finding])
        assert journal.fields("run-1")[0].counts == {"a": 2}
        assert journal.findings("run-1")[0].probability == 0.25


def test_a_run_is_unfinished_until_it_has_a_verdict_or_is_given_up(path: Path, samples: Samples) -> None:
    with Journal.open(path) as journal:
        for number in (1, 2, 3):
            journal.begin(samples.run(number), "{}")
        journal.finish("run-1", '{"category": "ND"}', samples.message(samples.run(1)))
        journal.abandon("run-2", "the slide broke")
        assert [run.run_id for run in journal.unfinished()] == ["run-3"]
        assert journal.verdict("run-1") == '{"category": "ND"}'
        assert journal.verdict("run-3") is None
        assert journal.next_run_number("S26-001234", "A1") == 4
        assert journal.next_run_number("S26-001234", "B1") == 1
        assert journal.note_resumed("run-3").resumed == 1
        assert journal.note_resumed("run-3").resumed == 2


@pytest.mark.parametrize("ended", ["finish", "abandon"])
def test_an_ended_run_takes_nothing_more(path: Path, samples: Samples, ended: str) -> None:
    with Journal.open(path) as journal:
        journal.begin(samples.run(), "{}")
        if ended == "finish":
            journal.finish("run-1", "{}", samples.message(samples.run()))
        else:
            journal.abandon("run-1", "no")
        with pytest.raises(JournalError, match="already"):
            journal.record_field("run-1", samples.field(0))
        with pytest.raises(JournalError, match="already"):
            journal.finish("run-1", "{}", samples.message(samples.run()))
        assert journal.recorded_indexes("run-1") == set()


def test_a_field_is_recorded_once(path: Path, samples: Samples) -> None:
    with Journal.open(path) as journal:
        journal.begin(samples.run(), "{}")
        journal.record_field("run-1", samples.field(0), samples.findings(0, 2))
        with pytest.raises(JournalError, match="Field 0 is already recorded"):
            journal.record_field("run-1", samples.field(0), samples.findings(0, 9))
        assert len(journal.findings("run-1")) == 2


def test_a_run_begins_once(path: Path, samples: Samples) -> None:
    with Journal.open(path) as journal:
        journal.begin(samples.run(), "{}")
        with pytest.raises(JournalError, match="already in the journal"):
            journal.begin(samples.run(), "{}")
        with pytest.raises(JournalError, match="next run number"):
            journal.begin(samples.run(run_id="other"), "{}")
        with pytest.raises(JournalError, match="Run nowhere is not in"):
            journal.fields("nowhere")


@pytest.mark.parametrize("name", ["", "x" * 101, "S26\n1", "\udcff", "a\0b"])
def test_a_name_that_no_message_can_carry_is_refused_before_the_scan(path: Path, samples: Samples, name: str) -> None:
    with Journal.open(path) as journal:
        for run in (samples.run(accession=name), samples.run(slide=name)):
            with pytest.raises(JournalError, match="no name for a record"):
                journal.begin(run, "{}")
        assert journal.runs() == []
        journal.begin(samples.run(accession="Ä" * 100, slide="Präparat №1"), "{}")
        message = samples.message(journal.run("run-1"))
        journal.finish("run-1", "{}", message)


def test_only_the_pictures_of_the_most_probable_findings_stay(path: Path, samples: Samples) -> None:
    with Journal.open(path) as journal:
        journal.begin(samples.run(), "{}")
        everything = []
        for index in range(6):
            found = samples.findings(index, 20)
            everything += found
            pictures = {n: f"{index}/{n}".encode() for n in range(20)}
            journal.record_field("run-1", samples.field(index), found, pictures, 8)
            kept = [finding for finding, _ in journal.pictures("run-1")]
            assert kept == sorted(everything, key=lambda f: -f.probability)[:8]
            assert journal.picture_threshold("run-1", 8) == kept[-1].probability
        finding, picture = journal.pictures("run-1")[0]
        assert picture == f"{finding.field_index}/{samples.findings(finding.field_index, 20).index(finding)}".encode()
        assert journal.picture_threshold("run-1", 9) == 0.0


def test_no_picture_is_kept_when_none_is_wanted(path: Path, samples: Samples) -> None:
    with Journal.open(path) as journal:
        journal.begin(samples.run(), "{}")
        journal.record_field("run-1", samples.field(0), samples.findings(0, 3), {0: b"x"}, 0)
        assert journal.pictures("run-1") == []


def test_whole_fields_are_kept_when_asked(path: Path, samples: Samples) -> None:
    with Journal.open(path) as journal:
        journal.begin(samples.run(), "{}")
        journal.record_field("run-1", samples.field(0), field_picture=b"jpeg")
        journal.record_field("run-1", samples.field(1))
        assert journal.field_picture("run-1", 0) == b"jpeg"
        assert journal.field_picture("run-1", 1) is None


def test_a_field_with_300_findings_takes_less_than_60_kb(path: Path, samples: Samples) -> None:
    fields = 40
    with Journal.open(path) as journal:
        journal.begin(samples.run(), "{}")
        for index in range(fields):
            journal.record_field("run-1", samples.field(index), samples.findings(index, 300))
    assert size_bytes(path) / fields < 60_000  # measured: 33 kB


def test_verdict_audit_and_message_are_one_piece(path: Path, samples: Samples) -> None:
    with Journal.open(path) as journal:
        journal.begin(samples.run(1), "{}")
        journal.begin(samples.run(2), "{}")
        message = samples.message(samples.run(1))
        journal.finish("run-1", "{}", message)
        head, rows = journal.audit_head(), len(journal.audit_rows())
        with pytest.raises(JournalError):
            journal.finish("run-2", "{}", message)  # its key is in the outbox already
        assert journal.verdict("run-2") is None
        assert [run.run_id for run in journal.unfinished()] == ["run-2"]
        assert (journal.audit_head(), len(journal.audit_rows())) == (head, rows)


def test_message_numbers_rise_over_restarts(path: Path) -> None:
    with Journal.open(path) as journal:
        first, session = [journal.next_seq(), journal.next_seq()], journal.session
    with Journal.open(path) as journal:
        assert [*first, journal.next_seq()] == [1, 2, 3]
        assert journal.session != session


def test_a_second_writer_is_refused_and_readers_are_not(path: Path, samples: Samples) -> None:
    with Journal.open(path) as journal:
        journal.begin(samples.run(), "{}")
        with pytest.raises(JournalError, match="already records slides"):
            Journal.open(path)
        script = "import sys, pathlib\nfrom appliance.journal import Journal\nJournal.open(pathlib.Path(sys.argv[1]))"
        other = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=False)
        assert "already records slides" in other.stderr
        with JournalReader.open(path) as reader:
            assert reader.unfinished()
    Journal.open(path).close()


def test_threads_may_share_a_journal(path: Path, samples: Samples) -> None:
    with Journal.open(path) as journal:
        journal.begin(samples.run(), "{}")

        def record(first: int) -> None:
            for index in range(first, 40, 4):
                journal.record_field("run-1", samples.field(index), samples.findings(index, 5))

        threads = [threading.Thread(target=record, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert journal.recorded_indexes("run-1") == set(range(40))
        assert len(journal.findings("run-1")) == 200


def test_a_full_disk_loses_the_field_in_hand_and_nothing_else(path: Path, samples: Samples) -> None:
    with Journal.open(path) as journal:
        journal.begin(samples.run(), "{}")
        journal.record_field("run-1", samples.field(0), samples.findings(0, 10))
        pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
        journal._connection.execute(f"PRAGMA max_page_count = {pages + 5}")
        with pytest.raises(JournalError, match="the disk is full") as caught:
            journal.record_field("run-1", samples.field(1), samples.findings(1, 2000))
        assert "nothing is half-written" in caught.value.safe
        assert "Free space" in caught.value.remedy
        assert journal.recorded_indexes("run-1") == {0}
        assert len(journal.findings("run-1")) == 10
        journal._connection.execute("PRAGMA max_page_count = 1000000")
        journal.record_field("run-1", samples.field(1), samples.findings(1, 2000))
        assert journal.recorded_indexes("run-1") == {0, 1}


def test_a_file_size_limit_of_the_system_is_told_and_survived(path: Path) -> None:
    """The write itself fails here, as it does over quota or with a failing card."""
    script = """
import pathlib, resource, signal, sys
sys.path.insert(0, sys.argv[2])
from slide_samples import Samples
from appliance.errors import JournalError
from appliance.journal import Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
samples = Samples()
with Journal.open(pathlib.Path(sys.argv[1])) as journal:
    journal.begin(samples.run(), "{}")
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
    try:
        for index in range(1000):
            journal.record_field("run-1", samples.field(index), samples.findings(index, 300))
    except JournalError as error:
        print(error.what, "|", error.safe)
    done = journal.recorded_indexes("run-1")
    assert done == set(range(index)), (index, done)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    journal.record_field("run-1", samples.field(index), samples.findings(index, 300))
    print(index)
"""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    folder = str(Path(__file__).parents[1])
    child = subprocess.run([sys.executable, "-c", script, path, folder], capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    told, last = child.stdout.splitlines()
    assert "the disk" in told
    assert "nothing is half-written" in told
    with Journal.open(path) as journal:
        assert journal.recorded_indexes("run-1") == set(range(int(last) + 1))
        assert len(journal.findings("run-1")) == 300 * (int(last) + 1)


def test_little_free_space_is_told_before_a_slide_starts(path: Path) -> None:
    require_free_space(path, 0.001)
    with pytest.raises(JournalError, match="are needed to start a slide"):
        require_free_space(path, 10**9)
    with pytest.raises(JournalError, match="does not exist"):
        require_free_space(path.parent / "nowhere" / "journal.sqlite", 1)


def test_damage_shows_when_the_journal_is_opened(path: Path, samples: Samples) -> None:
    with Journal.open(path) as journal:
        journal.begin(samples.run(), "{}")
        for index in range(20):
            journal.record_field("run-1", samples.field(index), samples.findings(index, 100))
    content = bytearray(path.read_bytes())
    for page in range(10, 60):
        content[page * 4096 : page * 4096 + 200] = b"\xff" * 200
    path.write_bytes(content)
    with pytest.raises(JournalError, match="damaged") as caught:
        Journal.open(path)
    assert "Keep a copy" in caught.value.remedy


def test_other_files_are_not_taken_for_a_journal(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no database at all, but long enough to be looked at " * 100)
    with pytest.raises(JournalError, match="no database"):
        Journal.open(text)
    other = tmp_path / "other"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE mine(a)")
    connection.close()
    for attempt in (Journal.open, JournalReader.open):
        with pytest.raises(JournalError, match="another program"):
            attempt(other)
    assert other.stat().st_size > 0
    with pytest.raises(JournalError, match="does not exist"):
        Journal.open(tmp_path / "nowhere" / "journal.sqlite")
    with pytest.raises(JournalError, match="There is no file"):
        JournalReader.open(tmp_path / "absent.sqlite")


def test_a_locked_file_is_told(path: Path, samples: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.journal.database.BUSY_TIMEOUT_MS", 50)
    with Journal.open(path) as journal:
        journal.begin(samples.run(), "{}")
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match="another program holds it"):
            journal.record_field("run-1", samples.field(0))
        holder.execute("ROLLBACK")
        holder.close()
        journal.record_field("run-1", samples.field(0))


def test_an_old_sqlite_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 31, 1))
    with pytest.raises(JournalError, match="too old"):
        Journal.open(path)


def test_commits_are_flushed_to_disk(path: Path) -> None:
    with Journal.open(path) as journal:
        asked = {
            name: journal._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert asked == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}


def test_times_are_those_of_the_clock_given(path: Path, samples: Samples) -> None:
    at = datetime(2027, 1, 1, tzinfo=timezone.utc)
    with Journal.open(path, clock=lambda: at) as journal:
        journal.begin(samples.run(), "{}")
        assert journal.audit_rows()[0].at == at.isoformat()
        journal.post(OutboxMessage("k", "t", b"{}"))
