"""Older journals are lifted, newer ones refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.errors import JournalError
from appliance.journal import Journal, JournalReader
from appliance.journal.database import connect
from appliance.journal.schema import MIGRATIONS, migrate

from ..slide_samples import Samples


def test_an_older_journal_is_lifted_with_its_records(tmp_path: Path, samples: Samples) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal.open(path) as journal:
        journal.begin(samples.run(), "{}")
    newer = (*MIGRATIONS, ("ALTER TABLE runs ADD COLUMN remark TEXT NOT NULL DEFAULT ''", "CREATE TABLE notes(a TEXT)"))
    connection = connect(path)
    migrate(connection, path, newer)
    assert connection.execute("SELECT run_id, remark FROM runs").fetchall()[0]["remark"] == ""
    assert connection.execute("PRAGMA user_version").fetchone()[0] == len(newer)
    migrate(connection, path, newer)
    connection.close()
    with pytest.raises(JournalError, match="newer program"):
        Journal.open(path)


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path, samples: Samples) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal.open(path) as journal:
        journal.begin(samples.run(), "{}")
    connection = connect(path)
    with pytest.raises(JournalError):
        migrate(connection, path, (*MIGRATIONS, ("CREATE TABLE notes(a TEXT)", "CREATE TABLE runs(a TEXT)")))
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'notes'").fetchone()[0] == 0
    connection.close()
    with Journal.open(path) as journal:
        assert journal.unfinished()


def test_a_reader_does_not_lift_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    connect(path).close()
    with pytest.raises(JournalError, match="Start the scanner once"):
        JournalReader.open(path)
