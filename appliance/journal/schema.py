"""The journal's tables, and how an older file becomes a newer one.

Each entry of MIGRATIONS lifts the file by one version and runs in one transaction. Entries are never edited
once released: a change is a new entry.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from appliance.errors import JournalError
from appliance.journal.database import told, transaction

APPLICATION_ID = 0x43595453  # "CYTS": tells a journal from any other SQLite file

_VERSION_1 = (
    f"PRAGMA application_id = {APPLICATION_ID}",
    "CREATE TABLE counters(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    """CREATE TABLE runs(
        id INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL UNIQUE,
        accession TEXT NOT NULL,
        slide TEXT NOT NULL,
        run INTEGER NOT NULL,
        state TEXT NOT NULL CHECK(state IN ('scanning', 'finished', 'abandoned')),
        resumed INTEGER NOT NULL,
        detail TEXT NOT NULL,
        plan TEXT NOT NULL,
        verdict TEXT,
        ended_at TEXT,
        ended_reason TEXT,
        UNIQUE(accession, slide, run),
        CHECK((state = 'finished') = (verdict IS NOT NULL))
    ) STRICT""",
    """CREATE TABLE fields(
        run INTEGER NOT NULL REFERENCES runs(id),
        field INTEGER NOT NULL,
        x_um REAL NOT NULL,
        y_um REAL NOT NULL,
        outcome TEXT NOT NULL CHECK(outcome IN ('usable', 'blank', 'failed')),
        reason TEXT NOT NULL,
        recorded_at TEXT NOT NULL,
        detail TEXT NOT NULL,
        PRIMARY KEY(run, field)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE findings(
        run INTEGER NOT NULL,
        field INTEGER NOT NULL,
        position INTEGER NOT NULL,
        label TEXT NOT NULL,
        probability REAL NOT NULL,
        x_um REAL NOT NULL,
        y_um REAL NOT NULL,
        z_um REAL NOT NULL,
        x_px REAL NOT NULL,
        y_px REAL NOT NULL,
        width_px REAL NOT NULL,
        height_px REAL NOT NULL,
        PRIMARY KEY(run, field, position),
        FOREIGN KEY(run, field) REFERENCES fields(run, field)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE pictures(
        id INTEGER PRIMARY KEY,
        run INTEGER NOT NULL,
        field INTEGER NOT NULL,
        position INTEGER NOT NULL,
        probability REAL NOT NULL,
        picture BLOB NOT NULL,
        UNIQUE(run, field, position),
        FOREIGN KEY(run, field, position) REFERENCES findings(run, field, position)
    ) STRICT""",
    "CREATE INDEX best_pictures ON pictures(run, probability DESC, field, position)",
    """CREATE TABLE field_pictures(
        id INTEGER PRIMARY KEY,
        run INTEGER NOT NULL,
        field INTEGER NOT NULL,
        picture BLOB NOT NULL,
        UNIQUE(run, field),
        FOREIGN KEY(run, field) REFERENCES fields(run, field)
    ) STRICT""",
    """CREATE TABLE audit(
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        at TEXT NOT NULL,
        who TEXT NOT NULL,
        action TEXT NOT NULL,
        detail TEXT NOT NULL,
        hash TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE outbox(
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE,
        topic TEXT NOT NULL,
        payload BLOB NOT NULL,
        created_ns INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        next_ns INTEGER NOT NULL DEFAULT 0,
        broker_code INTEGER,
        broker_ns INTEGER,
        receipt TEXT CHECK(receipt IN ('accepted', 'duplicate', 'rejected')),
        receipt_ns INTEGER,
        reason TEXT NOT NULL DEFAULT '',
        parked INTEGER NOT NULL DEFAULT 0 CHECK(parked IN (0, 1))
    ) STRICT""",
    "CREATE INDEX pending ON outbox(next_ns, seq) WHERE receipt IS NULL AND parked = 0",
)

_VERSION_2 = (
    # In the same field, the finding that stands for this one: the same object, seen better in another plane.
    "ALTER TABLE findings ADD COLUMN seen_better INTEGER",
    # Of the same place in another plane; lives and dies with the finding's own picture.
    """CREATE TABLE other_pictures(
        id INTEGER PRIMARY KEY,
        run INTEGER NOT NULL,
        field INTEGER NOT NULL,
        position INTEGER NOT NULL,
        z_um REAL NOT NULL,
        picture BLOB NOT NULL,
        UNIQUE(run, field, position),
        FOREIGN KEY(run, field, position) REFERENCES pictures(run, field, position) ON DELETE CASCADE
    ) STRICT""",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_VERSION_1, _VERSION_2)


def migrate(connection: sqlite3.Connection, path: Path, migrations: tuple[tuple[str, ...], ...] = MIGRATIONS) -> None:
    """Bring the file to the newest version, or create its tables. Raises JournalError.

    Safe when two processes open a fresh file at once: the second waits, then sees the finished tables.
    """
    with told(path):
        if _checked_version(connection, path, len(migrations)) == len(migrations):
            return
    with transaction(connection, path):
        version = _checked_version(connection, path, len(migrations))
        for step, statements in enumerate(migrations[version:], start=version + 1):
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {step}")


def require_current(connection: sqlite3.Connection, path: Path) -> None:
    """Raise JournalError when the file is no journal of this version."""
    with told(path):
        version = _checked_version(connection, path, len(MIGRATIONS))
    if version < len(MIGRATIONS):
        raise JournalError(
            f"{path} holds a journal of version {version}; this program reads {len(MIGRATIONS)}.",
            remedy="Start the scanner once: it lifts the journal to its version.",
        )


def _checked_version(connection: sqlite3.Connection, path: Path, newest: int) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    owner = int(connection.execute("PRAGMA application_id").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    if owner != APPLICATION_ID and (owner or version or tables):
        raise JournalError(
            f"{path} is the file of another program, not a journal.",
            remedy="Name another file in journal.path.",
        )
    if version > newest:
        raise JournalError(
            f"Journal {path} was written by a newer program (version {version}; this one knows {newest}).",
            remedy="Install that newer program again, or name another file in journal.path.",
        )
    return version
