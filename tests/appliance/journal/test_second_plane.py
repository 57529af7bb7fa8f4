"""The second plane of a field in the journal: one piece or nothing, one finding an object, both pictures."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.errors import JournalError
from appliance.journal import Journal, JournalReader, OtherPlane, SecondSeen
from appliance.journal.codec import field_row, finding_row, run_text
from appliance.journal.database import connect
from appliance.journal.schema import MIGRATIONS, migrate
from appliance.records import FieldRecord, Finding, SecondPlane

from ..slide_samples import Samples

SECOND = SecondPlane(2992.7, "", 1, {"move": 0.1, "settle": 0.08, "expose": 0.03, "score": 0.2})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def probable(samples: Samples, *probabilities: float, z_um: float = 3001.7) -> list[Finding]:
    """Findings in field 0, most probable first, each at a place of its own."""
    return [
        replace(finding, probability=p, z_um=z_um)
        for finding, p in zip(samples.findings(0, len(probabilities)), probabilities, strict=True)
    ]


def amended(record: FieldRecord) -> FieldRecord:
    return replace(record, counts={"malignant": 3}, second=SECOND)


def begun(path: Path, samples: Samples, findings: list[Finding], keep_top: int = 8) -> Journal:
    journal = Journal.open(path)
    journal.begin(samples.run(), "{}")
    pictures = {n: b"first %d" % n for n in range(len(findings))}
    journal.record_field("run-1", samples.field(0), findings, pictures, keep_top)
    return journal


def test_what_the_second_plane_shows_is_added_and_the_record_stays_one(path: Path, samples: Samples) -> None:
    first, second = probable(samples, 0.6, 0.4), probable(samples, 0.9, 0.3, z_um=2992.7)
    seen = SecondSeen(tuple(second), {1: 2}, {2: b"second"}, {2: (3001.7, b"the same place in the first")})
    with begun(path, samples, first) as journal:
        journal.record_second_plane("run-1", amended(samples.field(0)), seen, 8)
    with JournalReader.open(path) as reader:
        assert reader.fields("run-1") == [amended(samples.field(0))]
        assert reader.findings("run-1") == [second[0], first[0], second[1]]
        assert reader.pictures("run-1") == [(second[0], b"second"), (first[0], b"first 0")]
        assert reader.other_planes("run-1") == {second[0]: OtherPlane(3001.7, 0.4, b"the same place in the first")}


def test_findings_of_both_planes_are_in_the_file_with_their_heights(path: Path, samples: Samples) -> None:
    seen = SecondSeen(tuple(probable(samples, 0.9, z_um=2992.7)), {0: 1})
    with begun(path, samples, probable(samples, 0.6)) as journal:
        journal.record_second_plane("run-1", amended(samples.field(0)), seen, 8)
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT z_um, seen_better FROM findings ORDER BY position").fetchall()
    assert rows == [(3001.7, 1), (2992.7, None)]


def test_where_the_first_plane_shows_it_better_its_picture_gets_the_other_beside_it(
    path: Path, samples: Samples
) -> None:
    first, second = probable(samples, 0.8), probable(samples, 0.5, z_um=2992.7)
    seen = SecondSeen(tuple(second), {1: 0}, {0: b"first 0"}, {0: (2992.7, b"second")})
    with begun(path, samples, first) as journal:
        journal.record_second_plane("run-1", amended(samples.field(0)), seen, 8)
        assert journal.pictures("run-1") == [(first[0], b"first 0")]
        assert journal.other_planes("run-1") == {first[0]: OtherPlane(2992.7, 0.5, b"second")}


def test_an_other_picture_goes_with_its_own(path: Path, samples: Samples) -> None:
    seen = SecondSeen(tuple(probable(samples, 0.7)), {}, {1: b"second"}, {1: (3001.7, b"other")})
    with begun(path, samples, probable(samples, 0.6), keep_top=2) as journal:
        journal.record_second_plane("run-1", amended(samples.field(0)), seen, 2)
        assert len(journal.other_planes("run-1")) == 1
        better = [replace(finding, field_index=1) for finding in probable(samples, 0.99, 0.98)]
        journal.record_field("run-1", samples.field(1), better, {0: b"a", 1: b"b"}, 2)
        assert [finding for finding, _ in journal.pictures("run-1")] == better
        assert journal.other_planes("run-1") == {}


def test_a_picture_that_is_not_among_the_best_leaves_no_other_behind(path: Path, samples: Samples) -> None:
    seen = SecondSeen(tuple(probable(samples, 0.3)), {}, {1: b"second"}, {1: (3001.7, b"other")})
    with begun(path, samples, probable(samples, 0.6), keep_top=1) as journal:
        journal.record_second_plane("run-1", amended(samples.field(0)), seen, 1)
        assert [picture for _, picture in journal.pictures("run-1")] == [b"first 0"]
        assert journal.other_planes("run-1") == {}


@pytest.mark.parametrize("twice", [False, True])
def test_a_field_without_a_first_plane_or_with_a_second_is_refused(path: Path, samples: Samples, twice: bool) -> None:
    with begun(path, samples, probable(samples, 0.6)) as journal:
        journal.record_second_plane("run-1", amended(samples.field(0)), SecondSeen(), 8)
        index, said = (0, "has a second plane already") if twice else (7, "is not recorded yet")
        with pytest.raises(JournalError, match=said):
            journal.record_second_plane("run-1", amended(samples.field(index)), SecondSeen(), 8)


def test_what_fails_on_the_way_leaves_the_first_plane_as_it_was(path: Path, samples: Samples) -> None:
    """The last step fails: a height is needed beside the other picture."""
    first = probable(samples, 0.6)
    broken = SecondSeen(tuple(probable(samples, 0.9)), {0: 1}, {1: b"second"}, {1: (float("nan"), b"other")})
    with begun(path, samples, first) as journal:
        with pytest.raises(JournalError, match="NOT NULL"):
            journal.record_second_plane("run-1", amended(samples.field(0)), broken, 8)
        assert journal.fields("run-1") == [samples.field(0)]
        assert journal.findings("run-1") == first
        assert journal.pictures("run-1") == [(first[0], b"first 0")]


def test_a_journal_of_one_plane_is_lifted_with_its_findings_and_pictures(path: Path, samples: Samples) -> None:
    first = probable(samples, 0.6, 0.4)
    connection = connect(path)
    migrate(connection, path, MIGRATIONS[:1])
    connection.execute(
        "INSERT INTO runs(id, run_id, accession, slide, run, state, resumed, detail, plan) "
        "VALUES(1, 'run-1', 'S26-001234', 'A1', 1, 'scanning', 0, ?, '{}')",
        (run_text(samples.run()),),
    )
    connection.execute("INSERT INTO fields VALUES(?, ?, ?, ?, ?, ?, ?, ?)", field_row(1, samples.field(0)))
    connection.executemany(
        f"INSERT INTO findings VALUES({', '.join('?' * 12)})", [finding_row(1, n, f) for n, f in enumerate(first)]
    )
    connection.execute("INSERT INTO pictures VALUES(1, 1, 0, 0, 0.6, x'ff')")
    connection.close()
    with Journal.open(path) as journal:
        assert journal.findings("run-1") == first
        assert journal.pictures("run-1") == [(first[0], b"\xff")]
        assert journal.fields("run-1") == [samples.field(0)]
        journal.record_second_plane("run-1", amended(samples.field(0)), SecondSeen(tuple(first), {0: 2, 1: 3}), 8)
        assert journal.findings("run-1") == first
    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
