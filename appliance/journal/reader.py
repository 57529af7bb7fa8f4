"""What the journal tells anyone: runs, fields, findings, pictures, verdicts, the audit trail."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from appliance.errors import JournalError
from appliance.journal import audit
from appliance.journal.audit import AuditCheck, AuditRow
from appliance.journal.codec import FINDING_COLUMNS, field_from, finding_from, run_from
from appliance.journal.database import DatabaseFile, connect_and
from appliance.journal.pictures import OtherPlane
from appliance.journal.schema import require_current
from appliance.records import FieldRecord, Finding, SlideRun


class JournalReader(DatabaseFile):
    """Reads a journal that another process may be writing. Threads may share one reader.

    Every method raises JournalError when the file cannot be read, or the run is not in it.
    """

    @classmethod
    def open(cls, path: Path) -> JournalReader:
        """Open an existing journal for reading. Raises JournalError."""
        return JournalReader(path, connect_and(path, require_current, query_only=True))

    def _run_row(self, run_id: str) -> sqlite3.Row:
        with self._reading() as connection:
            row: sqlite3.Row | None = connection.execute("SELECT * FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        if row is None:
            raise JournalError(f"Run {run_id} is not in journal {self.path}.", remedy="Check the run's number.")
        return row

    def run(self, run_id: str) -> SlideRun:
        """One reading of one slide."""
        return run_from(self._run_row(run_id))

    def runs(self) -> list[SlideRun]:
        """All runs, oldest first."""
        with self._reading() as connection:
            return [run_from(row) for row in connection.execute("SELECT * FROM runs ORDER BY id")]

    def unfinished(self) -> list[SlideRun]:
        """Runs that began and neither ended nor were given up, oldest first."""
        with self._reading() as connection:
            rows = connection.execute("SELECT * FROM runs WHERE state = 'scanning' ORDER BY id")
            return [run_from(row) for row in rows]

    def next_run_number(self, accession: str, slide: str) -> int:
        """1 for a slide never read, otherwise one more than its last reading."""
        with self._reading() as connection:
            query = "SELECT coalesce(max(run), 0) + 1 FROM runs WHERE accession = ? AND slide = ?"
            return int(connection.execute(query, (accession, slide)).fetchone()[0])

    def plan_json(self, run_id: str) -> str:
        """The plan as it was given to `begin`."""
        return str(self._run_row(run_id)["plan"])

    def verdict(self, run_id: str) -> str | None:
        """The verdict's JSON, None while there is none."""
        value = self._run_row(run_id)["verdict"]
        return None if value is None else str(value)

    def recorded_indexes(self, run_id: str) -> set[int]:
        """Plan indexes of the fields that are done with."""
        number = self._run_row(run_id)["id"]
        with self._reading() as connection:
            return {row["field"] for row in connection.execute("SELECT field FROM fields WHERE run = ?", (number,))}

    def fields(self, run_id: str) -> list[FieldRecord]:
        """Field records in plan order."""
        number = self._run_row(run_id)["id"]
        with self._reading() as connection:
            rows = connection.execute("SELECT * FROM fields WHERE run = ? ORDER BY field", (number,))
            return [field_from(row) for row in rows]

    def findings(self, run_id: str, min_probability: float = 0.0, limit: int | None = None) -> list[Finding]:
        """Findings of at least min_probability, most probable first, at most `limit` of them.

        An object seen in both planes of a field is one finding, that of the plane in which it is more probable.
        """
        number = self._run_row(run_id)["id"]
        query = (
            f"SELECT {FINDING_COLUMNS} FROM findings WHERE run = ? AND probability >= ? AND seen_better IS NULL "  # noqa: S608
            "ORDER BY probability DESC, field, position LIMIT ?"
        )
        with self._reading() as connection:
            rows = connection.execute(query, (number, min_probability, -1 if limit is None else limit))
            return [finding_from(row) for row in rows]

    def pictures(self, run_id: str) -> list[tuple[Finding, bytes]]:
        """Kept pictures with their findings, most probable first."""
        number = self._run_row(run_id)["id"]
        columns = FINDING_COLUMNS.replace("probability", "findings.probability")
        query = (
            f"SELECT {columns}, picture FROM pictures JOIN findings USING(run, field, position) "  # noqa: S608
            "WHERE run = ? ORDER BY pictures.probability DESC, field, position"
        )
        with self._reading() as connection:
            return [(finding_from(row), row["picture"]) for row in connection.execute(query, (number,))]

    def other_planes(self, run_id: str) -> dict[Finding, OtherPlane]:
        """What another plane shows at the place of a finding whose picture is kept, where there is one."""
        number = self._run_row(run_id)["id"]
        columns = ", ".join(f"seen.{column.strip()}" for column in FINDING_COLUMNS.split(","))
        query = (
            f"SELECT {columns}, other.z_um AS other_z_um, other.picture, "  # noqa: S608
            "(SELECT max(probability) FROM findings WHERE run = seen.run AND field = seen.field "
            "AND seen_better = seen.position) AS other_probability "
            "FROM other_pictures AS other JOIN findings AS seen USING(run, field, position) WHERE run = ?"
        )
        with self._reading() as connection:
            return {
                finding_from(row): OtherPlane(row["other_z_um"], row["other_probability"], row["picture"])
                for row in connection.execute(query, (number,))
            }

    def picture_threshold(self, run_id: str, keep_top: int) -> float:
        """Probability below which a new picture would not be kept; 0 while fewer than keep_top are."""
        number = self._run_row(run_id)["id"]
        query = "SELECT probability FROM pictures WHERE run = ? ORDER BY probability DESC LIMIT 1 OFFSET ?"
        with self._reading() as connection:
            row = connection.execute(query, (number, max(keep_top - 1, 0))).fetchone()
        return 0.0 if row is None else float(row["probability"])

    def field_picture(self, run_id: str, index: int) -> bytes | None:
        """The whole field's picture, None when it was not kept."""
        number = self._run_row(run_id)["id"]
        query = "SELECT picture FROM field_pictures WHERE run = ? AND field = ?"
        with self._reading() as connection:
            row = connection.execute(query, (number, index)).fetchone()
        return None if row is None else bytes(row["picture"])

    def audit_rows(self) -> list[AuditRow]:
        """The audit trail, oldest first."""
        with self._reading() as connection:
            return [audit.row_from(row) for row in connection.execute("SELECT * FROM audit ORDER BY seq")]

    def audit_head(self) -> str:
        """Hash of the newest audit row (64 hex digits); it travels with each verdict."""
        with self._reading() as connection:
            return audit.head(connection)

    def verify_audit(self) -> AuditCheck:
        """Whether the audit trail is unbroken."""
        with self._reading() as connection:
            return audit.verify(connection)
