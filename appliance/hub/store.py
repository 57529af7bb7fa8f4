"""What the hub has taken: each event once, whatever the network repeats."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Literal

from appliance.errors import JournalError
from appliance.hub.events import Event, ReceivedVerdict, Refusal
from appliance.journal.database import DatabaseFile, check_integrity, connect_and, transaction
from appliance.messages.topics import Address
from appliance.messages.verdict import VerdictMessage

_APPLICATION_ID = 0x43595448  # "CYTH"
_VERSION = 1
_TABLES = (
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {_VERSION}",
    """CREATE TABLE events(
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE,
        site TEXT NOT NULL,
        device TEXT NOT NULL,
        type TEXT NOT NULL,
        session TEXT NOT NULL,
        seq INTEGER NOT NULL,
        received_at TEXT NOT NULL,
        repeats INTEGER NOT NULL DEFAULT 0,
        payload BLOB NOT NULL
    ) STRICT""",
    "CREATE INDEX by_type ON events(type, number)",
    """CREATE TABLE refusals(
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        topic TEXT NOT NULL,
        key TEXT,
        reason TEXT NOT NULL,
        received_at TEXT NOT NULL,
        payload BLOB NOT NULL,
        UNIQUE(topic, reason, payload)
    ) STRICT""",
    """CREATE TABLE devices(
        site TEXT NOT NULL,
        device TEXT NOT NULL,
        state BLOB,
        health BLOB,
        seen_at TEXT NOT NULL,
        PRIMARY KEY(site, device)
    ) STRICT, WITHOUT ROWID""",
)


Outcome = Literal["accepted", "duplicate", "conflict"]


class HubStore(DatabaseFile):
    """The hub's SQLite file; threads may share it. Every method raises JournalError when the file fails."""

    @classmethod
    def open(cls, path: Path) -> HubStore:
        """Open or create the store. Raises JournalError."""
        return HubStore(path, connect_and(path, _set_up))

    def take(self, event: Event, received_at: datetime) -> Outcome:
        """Store an event, on disk when this returns.

        duplicate: the same message is stored already. conflict: its key is, with another message; that one stays.
        """
        with self._writing() as connection:
            row = connection.execute("SELECT payload FROM events WHERE key = ?", (event.key,)).fetchone()
            if row is None:
                connection.execute(
                    "INSERT INTO events(key, site, device, type, session, seq, received_at, payload) "
                    "VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        event.key,
                        event.address.site,
                        event.address.device,
                        event.type,
                        event.session,
                        event.seq,
                        received_at.isoformat(),
                        event.payload,
                    ),
                )
                return "accepted"
            if row["payload"] != event.payload:
                return "conflict"
            connection.execute("UPDATE events SET repeats = repeats + 1 WHERE key = ?", (event.key,))
            return "duplicate"

    def refuse(self, topic: str, key: str | None, reason: str, received_at: datetime, payload: bytes) -> None:
        """Keep a refused message for a person to look at; the same one once."""
        with self._writing() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO refusals(topic, key, reason, received_at, payload) VALUES(?, ?, ?, ?, ?)",
                (topic, key, reason, received_at.isoformat(), payload),
            )

    def note_device(
        self, address: Address, received_at: datetime, *, state: bytes | None = None, health: bytes | None = None
    ) -> None:
        """Keep the last state and the last health of a device."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO devices VALUES(?, ?, ?, ?, ?) ON CONFLICT(site, device) DO UPDATE SET "
                "state = coalesce(excluded.state, state), health = coalesce(excluded.health, health), "
                "seen_at = excluded.seen_at",
                (address.site, address.device, state, health, received_at.isoformat()),
            )

    def list_verdicts(self) -> list[ReceivedVerdict]:
        """All verdicts, in the order in which they were taken."""
        with self._reading() as connection:
            rows = connection.execute("SELECT * FROM events WHERE type LIKE '%.slide.verdict.%' ORDER BY number")
            return [_verdict(row) for row in rows]

    def verdict(self, key: str) -> ReceivedVerdict | None:
        """The verdict of this key; None when there is none."""
        with self._reading() as connection:
            row = connection.execute("SELECT * FROM events WHERE key = ?", (key,)).fetchone()
        return None if row is None or ".slide.verdict." not in row["type"] else _verdict(row)

    def refusals(self) -> list[Refusal]:
        """Messages that were not taken, oldest first."""
        with self._reading() as connection:
            rows = connection.execute("SELECT * FROM refusals ORDER BY number").fetchall()
        return [
            Refusal(row["topic"], row["key"], row["reason"], datetime.fromisoformat(row["received_at"])) for row in rows
        ]

    def events(self, type_contains: str = "") -> list[bytes]:
        """Payloads of the events whose type contains a word, in the order in which they were taken."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT payload FROM events WHERE instr(type, ?) ORDER BY number", (type_contains,)
            )
            return [row["payload"] for row in rows]

    def last_state(self, site: str, device: str) -> bytes | None:
        """The last state message of a device; None when none came."""
        return self._of_device("state", site, device)

    def last_health(self, site: str, device: str) -> bytes | None:
        """The last health message of a device; None when none came."""
        return self._of_device("health", site, device)

    def _of_device(self, column: Literal["state", "health"], site: str, device: str) -> bytes | None:
        query = f"SELECT {column} FROM devices WHERE site = ? AND device = ?"  # noqa: S608
        with self._reading() as connection:
            row = connection.execute(query, (site, device)).fetchone()
        return None if row is None else row[column]


def _set_up(connection: sqlite3.Connection, path: Path) -> None:
    with transaction(connection, path):
        owner = int(connection.execute("PRAGMA application_id").fetchone()[0])
        tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if owner == 0 and tables == 0:
            for statement in _TABLES:
                connection.execute(statement)
        elif owner != _APPLICATION_ID or version != _VERSION:
            raise JournalError(
                f"{path} is no hub store of this version.", remedy="Name another file for the hub to keep its events."
            )
    check_integrity(connection, path)


def _verdict(row: sqlite3.Row) -> ReceivedVerdict:
    message = VerdictMessage.model_validate_json(row["payload"])
    return ReceivedVerdict(
        site=row["site"],
        device=row["device"],
        received_at=datetime.fromisoformat(row["received_at"]),
        repeats=row["repeats"],
        body=message.data,
        raw=row["payload"],
    )
