"""The only writer of what happened to slides."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

from appliance.errors import JournalError
from appliance.journal import audit, outbox, second_plane
from appliance.journal.codec import INSERT_FINDING, field_row, finding_row, run_text
from appliance.journal.database import NOTHING_HALF_WRITTEN, check_integrity, connect, require_folder
from appliance.journal.lock import FileLock
from appliance.journal.pictures import keep_best
from appliance.journal.reader import JournalReader
from appliance.journal.schema import migrate
from appliance.journal.second_plane import SecondSeen
from appliance.messages.ids import new_uuid7
from appliance.messages.outgoing import OutboxMessage
from appliance.records import FieldRecord, Finding, SlideRun

Clock = Callable[[], datetime]
LONGEST_NAME = 100


def utc_now() -> datetime:
    """The time of records."""
    return datetime.now(timezone.utc)


class Journal(JournalReader):
    """Records slides so that a crash at any moment loses at most the field in hand.

    One Journal per file across all processes. What belongs together is one transaction, on disk when the method
    returns. Every method raises JournalError when the disk is full or fails; nothing is half-written then.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: FileLock, clock: Clock) -> None:
        super().__init__(path, connection)
        self._lock = lock
        self._clock = clock
        self.session = str(new_uuid7())

    @classmethod
    def open(cls, path: Path, clock: Clock = utc_now) -> Journal:
        """Open or create the journal at `path`, lift it to this version, and check it for damage.

        clock: UTC time of records. Raises JournalError: held by another process, damaged, newer, not a journal.
        """
        require_folder(path)
        lock = FileLock(path.with_name(path.name + ".lock"), "records slides in this journal")
        try:
            connection = connect(path)
            try:
                migrate(connection, path)
                check_integrity(connection, path)
            except BaseException:
                connection.close()
                raise
        except BaseException:
            lock.release()
            raise
        return Journal(path, connection, lock, clock)

    def close(self) -> None:
        """Close the file and let another process write it; safe to call twice."""
        super().close()
        self._lock.release()

    def __enter__(self) -> Journal:
        return self

    def _now(self) -> str:
        return self._clock().astimezone(timezone.utc).isoformat()

    def _scanning(self, run_id: str) -> int:
        row = self._run_row(run_id)
        if row["state"] != "scanning":
            raise JournalError(
                f"Run {run_id} is already {row['state']}.",
                safe=NOTHING_HALF_WRITTEN,
                remedy="Read the slide again as a new run.",
            )
        return int(row["id"])

    def begin(self, run: SlideRun, plan_json: str) -> None:
        """Start a run.

        Raises JournalError when this run, or this slide's run number, is there already, or when accession or slide
        is no name that a message can carry: better now than when the verdict stands.
        """
        for what, name in (("accession", run.accession), ("slide", run.slide)):
            if not (0 < len(name) <= LONGEST_NAME and name.isprintable()):
                raise JournalError(
                    f"The {what} {name!r} is no name for a record.",
                    remedy=f"Use 1 to {LONGEST_NAME} printable characters.",
                )
        with self._writing() as connection:
            known = connection.execute(
                "SELECT 1 FROM runs WHERE run_id = ? OR (accession = ? AND slide = ? AND run = ?)",
                (run.run_id, run.accession, run.slide, run.run),
            ).fetchone()
            if known:
                raise JournalError(
                    f"Run {run.run} of slide {run.slide} of {run.accession} ({run.run_id}) is already in the journal.",
                    remedy="Read the slide again under the next run number.",
                )
            connection.execute(
                "INSERT INTO runs(run_id, accession, slide, run, state, resumed, detail, plan) "
                "VALUES(?, ?, ?, ?, 'scanning', ?, ?, ?)",
                (run.run_id, run.accession, run.slide, run.run, run.resumed, run_text(run), plan_json),
            )
            detail = {"run_id": run.run_id, "plan_sha256": run.plan_sha256, "settings_sha256": run.settings_sha256}
            audit.append(connection, self._now(), run.operator, "slide.begin", detail)

    def note_resumed(self, run_id: str, who: str = "scanner") -> SlideRun:
        """Count one more restart of an unfinished run, and return the run."""
        with self._writing() as connection:
            number = self._scanning(run_id)
            connection.execute("UPDATE runs SET resumed = resumed + 1 WHERE id = ?", (number,))
            audit.append(connection, self._now(), who, "slide.resume", {"run_id": run_id})
        return self.run(run_id)

    def record_field(
        self,
        run_id: str,
        record: FieldRecord,
        findings: Sequence[Finding] = (),
        pictures: Mapping[int, bytes] | None = None,
        keep_top: int = 0,
        *,
        field_picture: bytes | None = None,
    ) -> None:
        """Record one field with all that was found in it.

        pictures: position in `findings` → JPEG or PNG; of all pictures of the run only the keep_top with the most
        probable findings stay. field_picture: the whole field, kept as it is.
        Raises JournalError when the field is recorded already, or the run has ended.
        """
        with self._writing() as connection:
            number = self._scanning(run_id)
            self._refuse_twice(connection, number, record.index)
            connection.execute("INSERT INTO fields VALUES(?, ?, ?, ?, ?, ?, ?, ?)", field_row(number, record))
            connection.executemany(
                INSERT_FINDING, (finding_row(number, position, finding) for position, finding in enumerate(findings))
            )
            if pictures:
                keep_best(connection, number, dict(enumerate(findings)), pictures, keep_top)
            if field_picture is not None:
                connection.execute(
                    "INSERT INTO field_pictures(run, field, picture) VALUES(?, ?, ?)",
                    (number, record.index, field_picture),
                )

    def record_second_plane(self, run_id: str, record: FieldRecord, seen: SecondSeen, keep_top: int = 0) -> None:
        """Add what a recorded field's second plane showed; the field's record becomes `record`.

        Raises JournalError when the field is not recorded, has a second plane already, or the run has ended.
        """
        with self._writing() as connection:
            second_plane.add(connection, self._scanning(run_id), record, seen, keep_top)

    def _refuse_twice(self, connection: sqlite3.Connection, number: int, index: int) -> None:
        query = "SELECT 1 FROM fields WHERE run = ? AND field = ?"
        if connection.execute(query, (number, index)).fetchone():
            raise JournalError(
                f"Field {index} is already recorded.",
                safe="The first record stands.",
                remedy="This is a fault of the program: report it.",
            )

    def finish(self, run_id: str, verdict_json: str, message: OutboxMessage, who: str = "scanner") -> None:
        """Verdict, its audit row and its message to the hub, in one piece."""
        with self._writing() as connection:
            number = self._scanning(run_id)
            connection.execute(
                "UPDATE runs SET state = 'finished', verdict = ?, ended_at = ? WHERE id = ?",
                (verdict_json, self._now(), number),
            )
            detail = {"run_id": run_id, "key": message.key, "verdict": verdict_json}
            audit.append(connection, self._now(), who, "slide.verdict", detail)
            outbox.insert(connection, message, self._now_ns())

    def abandon(self, run_id: str, reason: str, who: str = "scanner") -> None:
        """Give an unfinished run up; what was recorded stays."""
        with self._writing() as connection:
            number = self._scanning(run_id)
            connection.execute(
                "UPDATE runs SET state = 'abandoned', ended_reason = ?, ended_at = ? WHERE id = ?",
                (reason, self._now(), number),
            )
            audit.append(connection, self._now(), who, "slide.abandon", {"run_id": run_id, "reason": reason})

    def post(self, message: OutboxMessage) -> None:
        """Hand another message to the sender (an alarm, a quality check)."""
        with self._writing() as connection:
            outbox.insert(connection, message, self._now_ns())

    def audit(self, who: str, action: str, detail: Mapping[str, object]) -> None:
        """Add a row to the audit trail. detail: plain JSON values."""
        with self._writing() as connection:
            audit.append(connection, self._now(), who, action, detail)

    def next_seq(self) -> int:
        """A number for the next message of this device, never given twice; gaps are possible after a crash."""
        with self._writing() as connection:
            return outbox.next_number(connection)

    def _now_ns(self) -> int:
        return int(self._clock().timestamp() * 1e9)
