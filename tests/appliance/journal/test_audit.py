"""The audit trail shows any change."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from appliance.journal import Journal

from ..slide_samples import Samples


@pytest.fixture
def trail(tmp_path: Path, samples: Samples) -> Path:
    path = tmp_path / "journal.sqlite"
    with Journal.open(path) as journal:
        journal.begin(samples.run(), "{}")
        journal.audit("u:4711", "settings.change", {"key": "focus.search_um", "from": 60, "to": 80})
        journal.note_resumed("run-1")
        journal.finish("run-1", '{"category": "ND"}', samples.message(samples.run()))
    return path


def test_a_whole_trail_holds_and_says_who_did_what(trail: Path) -> None:
    with Journal.open(trail) as journal:
        check = journal.verify_audit()
        rows = journal.audit_rows()
    assert (check.ok, check.rows, check.broken_at, check.head) == (True, 4, None, rows[-1].hash)
    assert [row.action for row in rows] == ["slide.begin", "settings.change", "slide.resume", "slide.verdict"]
    assert rows[1].who == "u:4711"
    assert rows[1].detail == {"key": "focus.search_um", "from": 60, "to": 80}
    assert rows[3].detail["verdict"] == '{"category": "ND"}'


@pytest.mark.parametrize(
    ("change", "row"),
    [
        ("UPDATE audit SET who = 'somebody' WHERE seq = 2", 2),
        ("UPDATE audit SET detail = replace(detail, '80', '90') WHERE seq = 2", 2),
        ("UPDATE audit SET at = '2020-01-01T00:00:00+00:00' WHERE seq = 1", 1),
        ("DELETE FROM audit WHERE seq = 3", 3),
        ("UPDATE audit SET hash = lower(hex(randomblob(32))) WHERE seq = 4", 4),
    ],
)
def test_any_change_breaks_the_chain_at_its_place(trail: Path, change: str, row: int) -> None:
    connection = sqlite3.connect(trail)
    connection.execute(change)
    connection.commit()
    connection.close()
    with Journal.open(trail) as journal:
        check = journal.verify_audit()
    assert not check.ok
    assert check.broken_at == row


def test_rows_cut_off_at_the_end_show_in_the_head(trail: Path) -> None:
    with Journal.open(trail) as journal:
        head = journal.audit_head()
    connection = sqlite3.connect(trail)
    connection.execute("DELETE FROM audit WHERE seq = 4")
    connection.commit()
    connection.close()
    with Journal.open(trail) as journal:
        assert journal.verify_audit().ok
        assert journal.audit_head() != head
