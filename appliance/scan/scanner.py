"""The scan loop: survey the surface, then visit, focus and hand over each planned field.

While a field is scored and recorded by the reader, the stage is already moving; a full queue holds the stage back.
What the reader asks to see in a second plane is exposed after its row, or after the last.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence, Set

from appliance.errors import Stopped
from appliance.scan.captures import Captures
from appliance.scan.events import ScanListener
from appliance.scan.focus.axial import AxialCurve
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.focus.survey import survey
from appliance.scan.plan import Plan, PlannedField
from appliance.scan.reader import Reader
from appliance.scan.rig import Rig
from appliance.scan.second_plane import Again, expose_again
from appliance.settings import Settings


def scan(
    rig: Rig,
    plan: Plan,
    recorded: Set[int],
    settings: Settings,
    reader: Reader,
    listener: ScanListener,
    stop: threading.Event,
    curve: AxialCurve | None = None,
) -> None:
    """Read every field of the plan that is not in `recorded`; returns when all are recorded, or the reader has enough.

    A slide on which the survey finds nothing is visited all the same: every field then says for itself that it is
    blank or obscured. curve: of the device, where it was calibrated. stop: ends the scan after the field in hand.
    Raises Stopped when all that was handed over until then is recorded, DeviceError, and what the reader met; the
    objective is retracted on every way out.
    """
    todo = [field for field in plan.fields if field.index not in recorded]
    if not todo:
        return
    optics = FocusOptics(settings.optics.na, settings.optics.um_per_px)
    try:
        with rig.retracting():
            listener.step("surveying")
            _end_if(stop)
            known = survey(rig, [(f.x_um, f.y_um) for f in plan.fields], settings.focus, optics, curve=curve)
            listener.surveyed(rig.meter.take())
            _end_if(stop)
            _visit(rig, todo, Captures(rig, known, settings.focus, optics), reader, stop)
    except Stopped:
        reader.finish()  # what goes wrong there must not be taken for a stop
        raise
    reader.finish()


def _visit(rig: Rig, todo: Sequence[PlannedField], captures: Captures, reader: Reader, stop: threading.Event) -> None:
    """Field by field, and what is due a second time after each row; until all is read, or the reader has enough.

    A row's second planes are taken when the first field after it has been captured: by then the reader has had time for
    the row's last, and the stage is still near.
    """
    open_rows = Counter(field.y_um for field in todo)
    waiting: list[Again] = []
    row_over = False
    for left, capture in zip(reversed(range(len(todo))), captures.of(todo), strict=False):
        reader.put(capture)
        if left == 0:
            break
        if reader.enough:
            return
        _end_if(stop)
        if row_over:
            waiting += reader.due()
            over = [again for again in waiting if not open_rows[again.planned.y_um]]
            waiting = [again for again in waiting if open_rows[again.planned.y_um]]
            with captures.interrupted():
                _expose_again(rig, over, reader, stop)
        open_rows[capture.planned.y_um] -= 1
        row_over = not open_rows[capture.planned.y_um]
    reader.catch_up()
    _expose_again(rig, [*waiting, *reader.due()], reader, stop)


def _expose_again(rig: Rig, due: Sequence[Again], reader: Reader, stop: threading.Event) -> None:
    """The last first: that is where the stage is."""
    for again in sorted(due, key=lambda again: again.planned.index, reverse=True):
        _end_if(stop)
        reader.put(expose_again(rig, again))


def _end_if(stop: threading.Event) -> None:
    if stop.is_set():
        raise Stopped(
            "The scan was stopped before its end.",
            safe="All fields read so far are recorded.",
            remedy="Start the same scan again to go on from there.",
        )
