"""What the second plane of a field adds to its record: one transaction, the field's own findings left as they are."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.errors import JournalError
from appliance.journal.codec import FINDING_COLUMNS, INSERT_FINDING, field_from, field_row, finding_from, finding_row
from appliance.journal.database import NOTHING_HALF_WRITTEN
from appliance.journal.pictures import keep_best, keep_other
from appliance.records import FieldRecord, Finding


@dataclass(frozen=True)
class SecondSeen:
    """What was found in the second plane.

    findings: of the second plane alone. Positions are those among the findings of both planes, the first's before the
    second's: seen_better: of a finding → of the one that stands for the same object. pictures: of a finding → its
    picture in its own plane. others: of one of these → height of the other plane, and the same place there.
    """

    findings: tuple[Finding, ...] = ()
    seen_better: Mapping[int, int] = field(default_factory=dict)
    pictures: Mapping[int, bytes] = field(default_factory=dict)
    others: Mapping[int, tuple[float, bytes]] = field(default_factory=dict)


def add(connection: sqlite3.Connection, run: int, record: FieldRecord, seen: SecondSeen, keep_top: int) -> None:
    """Enter it; call inside a transaction. Of the run's pictures only the keep_top most probable stay.

    Raises JournalError when the field is not recorded, or has a second plane already.
    """
    _require_first_alone(connection, run, record.index)
    query = f"SELECT {FINDING_COLUMNS} FROM findings WHERE run = ? AND field = ? ORDER BY position"  # noqa: S608
    first = [finding_from(row) for row in connection.execute(query, (run, record.index))]
    findings = dict(enumerate([*first, *seen.findings]))
    detail = field_row(run, record)[-1]
    connection.execute("UPDATE fields SET detail = ? WHERE run = ? AND field = ?", (detail, run, record.index))
    connection.executemany(
        INSERT_FINDING, (finding_row(run, n, finding) for n, finding in findings.items() if n >= len(first))
    )
    connection.executemany(
        "UPDATE findings SET seen_better = ? WHERE run = ? AND field = ? AND position = ?",
        ((better, run, record.index, weaker) for weaker, better in seen.seen_better.items()),
    )
    connection.executemany(
        "DELETE FROM pictures WHERE run = ? AND field = ? AND position = ?",
        ((run, record.index, weaker) for weaker in seen.seen_better),
    )
    keep_best(connection, run, findings, seen.pictures, keep_top)
    keep_other(connection, run, record.index, seen.others)


def _require_first_alone(connection: sqlite3.Connection, run: int, index: int) -> None:
    row = connection.execute("SELECT * FROM fields WHERE run = ? AND field = ?", (run, index)).fetchone()
    if row is not None and field_from(row).second is None:
        return
    what = "is not recorded yet" if row is None else "has a second plane already"
    raise JournalError(
        f"Field {index} {what}.", safe=NOTHING_HALF_WRITTEN, remedy="This is a fault of the program: report it."
    )
