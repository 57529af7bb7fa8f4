"""The audit trail: every row carries a hash over itself and the row before, so that a change shows."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from appliance.journal.codec import canonical

GENESIS = "0" * 64


@dataclass(frozen=True)
class AuditRow:
    """Who did what, when. detail: plain JSON values."""

    seq: int
    at: str
    who: str
    action: str
    detail: dict[str, object]
    hash: str


@dataclass(frozen=True)
class AuditCheck:
    """Whether the chain holds. rows: how many were read. broken_at: first row that does not fit, None when ok."""

    ok: bool
    rows: int
    broken_at: int | None
    head: str


def link(previous: str, seq: int, *, at: str, who: str, action: str, detail: str) -> str:
    """Hash of one row: SHA-256 over the hash before and the row as canonical JSON, in hex."""
    body = canonical({"seq": seq, "at": at, "who": who, "action": action, "detail": detail})
    return hashlib.sha256((previous + body).encode()).hexdigest()


def head(connection: sqlite3.Connection) -> str:
    """Hash of the newest row; GENESIS when there is none."""
    row = connection.execute("SELECT hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    return GENESIS if row is None else str(row["hash"])


def append(connection: sqlite3.Connection, at: str, who: str, action: str, detail: Mapping[str, object]) -> None:
    """Add one row inside the caller's transaction."""
    last = connection.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    seq, previous = (1, GENESIS) if last is None else (last["seq"] + 1, last["hash"])
    text = canonical(detail)
    connection.execute(
        "INSERT INTO audit(seq, at, who, action, detail, hash) VALUES(?, ?, ?, ?, ?, ?)",
        (seq, at, who, action, text, link(previous, seq, at=at, who=who, action=action, detail=text)),
    )


def verify(connection: sqlite3.Connection) -> AuditCheck:
    """Walk the chain from the first row.

    Rows cut off at the end do not show here: compare `head` with the one in the last message the hub holds.
    """
    previous, rows = GENESIS, 0
    for row in connection.execute("SELECT * FROM audit ORDER BY seq"):
        rows += 1
        expected = link(previous, row["seq"], at=row["at"], who=row["who"], action=row["action"], detail=row["detail"])
        if row["seq"] != rows or row["hash"] != expected:
            return AuditCheck(ok=False, rows=rows, broken_at=rows, head=previous)
        previous = expected
    return AuditCheck(ok=True, rows=rows, broken_at=None, head=previous)


def row_from(row: sqlite3.Row) -> AuditRow:
    """An audit row from table `audit`."""
    return AuditRow(row["seq"], row["at"], row["who"], row["action"], json.loads(row["detail"]), row["hash"])
