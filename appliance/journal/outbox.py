"""Messages that have not yet reached the hub: the sender's side of the journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from appliance.journal.database import DatabaseFile, connect_and
from appliance.journal.schema import migrate
from appliance.messages.outgoing import OutboxMessage

LONGEST_WAIT_S = 3600.0
_OPEN = "receipt IS NULL AND parked = 0"


def insert(connection: sqlite3.Connection, message: OutboxMessage, now_ns: int) -> None:
    """Put a message in the outbox inside the caller's transaction."""
    connection.execute(
        "INSERT INTO outbox(key, topic, payload, created_ns) VALUES(?, ?, ?, ?)",
        (message.key, message.topic, message.payload, now_ns),
    )


def next_number(connection: sqlite3.Connection) -> int:
    """The next message number of this device, inside the caller's transaction."""
    connection.execute("INSERT INTO counters VALUES('message', 1) ON CONFLICT(name) DO UPDATE SET value = value + 1")
    return int(connection.execute("SELECT value FROM counters WHERE name = 'message'").fetchone()[0])


@dataclass(frozen=True)
class Claimed:
    """A message to be published now. attempts: claims so far, this one included. wait_s: until it is due again."""

    seq: int
    key: str
    topic: str
    payload: bytes
    attempts: int
    wait_s: float


@dataclass(frozen=True)
class Delivery:
    """What became of a message so far.

    broker_code: reason code of the last PUBACK. receipt: accepted, duplicate, rejected, or None while unanswered.
    parked: it waits for a person, for the `reason`.
    """

    seq: int
    key: str
    topic: str
    attempts: int
    broker_code: int | None
    receipt: str | None
    reason: str
    parked: bool


@dataclass(frozen=True)
class OutboxStatus:
    """pending: waiting for a receipt. parked: waiting for a person. oldest_s: age of the oldest pending one."""

    pending: int
    parked: int
    oldest_s: float


class Outbox(DatabaseFile):
    """A sender's own connection to the journal. Times are seconds since 1970 (UTC), passed in.

    Every method raises JournalError when the file cannot be read or written.
    """

    @classmethod
    def open(cls, path: Path) -> Outbox:
        """Open the outbox of the journal at `path`, creating the journal when there is none. Raises JournalError."""
        return Outbox(path, connect_and(path, migrate))

    def post(self, message: OutboxMessage, now_s: float) -> bool:
        """Add a message unless its key is there already; whether it was added."""
        with self._writing() as connection:
            if connection.execute("SELECT 1 FROM outbox WHERE key = ?", (message.key,)).fetchone():
                return False
            insert(connection, message, _ns(now_s))
            return True

    def claim(self, now_s: float, limit: int, wait_s: Callable[[int], float]) -> list[Claimed]:
        """Messages due now, the least tried first, then by age; each is due again after wait_s(attempts).

        So a message that nobody answers never holds back the others.

        A message whose time lies further ahead than any wait can be is due too: the clock was set back.
        """
        if limit <= 0:
            return []
        now, horizon = _ns(now_s), _ns(now_s + LONGEST_WAIT_S)
        query = f"SELECT * FROM outbox WHERE {_OPEN} AND (next_ns <= ? OR next_ns > ?) ORDER BY attempts, seq LIMIT ?"  # noqa: S608
        with self._reading() as connection:
            if connection.execute(query, (now, horizon, 1)).fetchone() is None:
                return []
        with self._writing() as connection:
            rows = connection.execute(query, (now, horizon, limit)).fetchall()
            claimed = [_claimed(row, wait_s) for row in rows]
            connection.executemany(
                "UPDATE outbox SET attempts = ?, next_ns = ? WHERE seq = ?",
                [(item.attempts, _ns(now_s + item.wait_s), item.seq) for item in claimed],
            )
        return claimed

    def due_at(self, seq: int, at_s: float) -> None:
        """Make one message due at at_s."""
        with self._writing() as connection:
            connection.execute("UPDATE outbox SET next_ns = ? WHERE seq = ?", (_ns(at_s), seq))

    def due_now(self, unless: Collection[int] = ()) -> None:
        """Make every open message due, except these seqs: waits mean nothing after a lost connection."""
        marks = ", ".join("?" * len(unless))
        with self._writing() as connection:
            connection.execute(
                f"UPDATE outbox SET next_ns = 0 WHERE {_OPEN} AND next_ns > 0 AND seq NOT IN ({marks})",  # noqa: S608
                tuple(unless),
            )

    def mark_broker(self, seq: int, code: int, now_s: float) -> None:
        """Note the reason code of a PUBACK."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE outbox SET broker_code = ?, broker_ns = ? WHERE seq = ?", (code, _ns(now_s), seq)
            )

    def park(self, seq: int, reason: str) -> None:
        """Send no more until a person releases it."""
        with self._writing() as connection:
            connection.execute("UPDATE outbox SET parked = 1, reason = ? WHERE seq = ?", (reason, seq))

    def next_seq(self) -> int:
        """A number for a message of the sender's own, from the same counter as the scanner's."""
        with self._writing() as connection:
            return next_number(connection)

    def release(self, *, refused_by_hub: bool = False) -> int:
        """Try again what the broker refused, and with refused_by_hub what the hub rejected; how many."""
        which = "parked = 1" if refused_by_hub else "parked = 1 AND receipt IS NULL"
        with self._writing() as connection:
            cursor = connection.execute(
                f"UPDATE outbox SET parked = 0, next_ns = 0, receipt = NULL, reason = '' WHERE {which}"  # noqa: S608
            )
            return cursor.rowcount

    def mark_receipt(self, key: str, status: str, reason: str, now_s: float) -> bool:
        """Take the hub's receipt: accepted and duplicate end the matter, rejected parks it. Whether the key is ours.

        A later receipt never overrides accepted or duplicate.
        """
        with self._writing() as connection:
            cursor = connection.execute(
                "UPDATE outbox SET receipt = ?, receipt_ns = ?, reason = ?, parked = ? "
                "WHERE key = ? AND (receipt IS NULL OR receipt = 'rejected')",
                (status, _ns(now_s), reason, int(status == "rejected"), key),
            )
            if cursor.rowcount:
                return True
            return connection.execute("SELECT 1 FROM outbox WHERE key = ?", (key,)).fetchone() is not None

    def delivery(self, key: str) -> Delivery | None:
        """What became of a message; None when its key is unknown."""
        with self._reading() as connection:
            row = connection.execute("SELECT * FROM outbox WHERE key = ?", (key,)).fetchone()
        return None if row is None else _delivery(row)

    def parked(self) -> list[Delivery]:
        """Messages that wait for a person, oldest first."""
        with self._reading() as connection:
            return [_delivery(row) for row in connection.execute("SELECT * FROM outbox WHERE parked = 1 ORDER BY seq")]

    def status(self, now_s: float) -> OutboxStatus:
        """How much waits, and since when."""
        with self._reading() as connection:
            pending, oldest = connection.execute(
                f"SELECT count(*), min(created_ns) FROM outbox WHERE {_OPEN}"  # noqa: S608
            ).fetchone()
            parked = connection.execute("SELECT count(*) FROM outbox WHERE parked = 1").fetchone()[0]
        age_s = 0.0 if oldest is None else max(now_s - oldest / 1e9, 0.0)
        return OutboxStatus(pending=pending, parked=parked, oldest_s=age_s)

    def pending_count(self) -> int:
        """How many messages wait for a receipt."""
        with self._reading() as connection:
            return int(connection.execute(f"SELECT count(*) FROM outbox WHERE {_OPEN}").fetchone()[0])  # noqa: S608

    def last_seq(self) -> int:
        """The last message number given out; 0 when none was."""
        with self._reading() as connection:
            row = connection.execute("SELECT value FROM counters WHERE name = 'message'").fetchone()
        return 0 if row is None else int(row["value"])

    def purge(self, before: datetime) -> int:
        """Delete messages whose receipt (accepted or duplicate) came before `before`; how many."""
        with self._writing() as connection:
            cursor = connection.execute(
                "DELETE FROM outbox WHERE receipt IN ('accepted', 'duplicate') AND receipt_ns < ?",
                (_ns(before.astimezone(timezone.utc).timestamp()),),
            )
            return cursor.rowcount


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)


def _claimed(row: sqlite3.Row, wait_s: Callable[[int], float]) -> Claimed:
    attempts = row["attempts"] + 1
    return Claimed(
        seq=row["seq"],
        key=row["key"],
        topic=row["topic"],
        payload=row["payload"],
        attempts=attempts,
        wait_s=min(wait_s(attempts), LONGEST_WAIT_S),
    )


def _delivery(row: sqlite3.Row) -> Delivery:
    return Delivery(
        seq=row["seq"],
        key=row["key"],
        topic=row["topic"],
        attempts=row["attempts"],
        broker_code=row["broker_code"],
        receipt=row["receipt"],
        reason=row["reason"],
        parked=bool(row["parked"]),
    )
