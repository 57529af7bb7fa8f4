"""Scan until the plan is read, or until the assay's stopping rule is satisfied with what is recorded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from appliance.assays.model import Assay
from appliance.records import FieldRecord, SlideRun
from appliance.scan.events import ScanListener
from appliance.scan.focus.axial import AxialCurve
from appliance.scan.plan import Plan
from appliance.scan.reader import Reader
from appliance.scan.rig import Rig
from appliance.scan.scanner import scan
from appliance.settings import Settings
from appliance.verdict.stopping import early_ending, may_end_early
from engines.scorer import OperatingPoint


class Recorded:
    """The fields of a run that are recorded. A reader's thread calls `suffices`; nobody else meddles meanwhile.

    Of an assay that is always read to its end, only the fields' places are kept.
    """

    def __init__(self, assay: Assay, run: SlideRun, point: OperatingPoint, fields: Sequence[FieldRecord]) -> None:
        self._assay = assay
        self._run = run
        self._point = point
        self._fields: list[FieldRecord] = []
        self._indexes: set[int] = set()
        for record in fields:
            self._add(record)

    @property
    def indexes(self) -> set[int]:
        """Their places in the plan."""
        return set(self._indexes)

    def suffices(self, record: FieldRecord) -> bool:
        """One more; whether they are enough with it."""
        self._add(record)
        return self.enough()

    def _add(self, record: FieldRecord) -> None:
        self._indexes.add(record.index)
        if may_end_early(self._assay):
            self._fields.append(record)

    def enough(self) -> bool:
        """Whether nothing need be read any more."""
        whole = len(self._indexes) >= self._run.planned_fields
        return whole or early_ending(self._assay, self._run, self._fields, self._point) is not None


def scan_until_enough(
    rig: Rig,
    plan: Plan,
    recorded: Recorded,
    settings: Settings,
    new_reader: Callable[[], Reader],
    listener: ScanListener,
    stop: threading.Event,
    curve: AxialCurve | None = None,
) -> None:
    """Scan what is not in `recorded` until that is enough; every field handed to a reader is recorded and counted.

    new_reader: makes one that asks `recorded.suffices`. Should the fields that it held by then undo the decision (they
    may all have failed), the scan goes on. curve: see `scan`. Raises what `scan` raises.
    """
    while not recorded.enough():
        reader = new_reader()
        try:
            scan(rig, plan, recorded.indexes, settings, reader, listener, stop, curve)
        finally:
            reader.close()
    if len(recorded.indexes) < len(plan.fields):
        listener.ended_early(len(recorded.indexes))
