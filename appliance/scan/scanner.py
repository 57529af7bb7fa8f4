"""The scan loop: survey the surface, then visit, focus and hand over each planned field.

While a field is scored and recorded by the reader, the stage is already moving; a full queue holds the stage back.
What the reader asks to see in a second plane is exposed at the end of a row, or after the last.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence, Set
from itertools import groupby

from appliance.errors import ApplianceError
from appliance.scan.captures import Captures
from appliance.scan.events import ScanListener
from appliance.scan.focus.axial import AxialCurve
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.focus.survey import survey
from appliance.scan.plan import Plan, PlannedField
from appliance.scan.reader import Reader
from appliance.scan.rig import Rig
from appliance.scan.second_plane import expose_again
from appliance.settings import Settings


class Stopped(ApplianceError):
    """The scan was stopped on request; what was recorded stays."""


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
    blank or obscured. curve: of the device, where it was calibrated. stop: ends the scan after the field in hand
    (raises Stopped).
    Raises DeviceError, and what the reader met; the objective is retracted on every way out.
    """
    todo = [field for field in plan.fields if field.index not in recorded]
    if not todo:
        return
    optics = FocusOptics(settings.optics.na, settings.optics.um_per_px)
    with rig.retracting():
        listener.step("surveying")
        known = survey(rig, [(f.x_um, f.y_um) for f in plan.fields], settings.focus, optics, curve=curve)
        listener.surveyed(rig.meter.take())
        _end_if(stop)
        _visit(rig, todo, Captures(rig, known, settings.focus, optics), reader, stop)
        reader.finish()


def _visit(rig: Rig, todo: Sequence[PlannedField], captures: Captures, reader: Reader, stop: threading.Event) -> None:
    """Row by row, and what is due a second time after each; until all is read, or the reader has enough."""
    left = len(todo)
    for _, row in groupby(todo, key=lambda field: field.y_um):
        for capture in captures.of(tuple(row)):
            reader.put(capture)
            left -= 1
            if left == 0:
                break
            if reader.enough:
                return
            _end_if(stop)
        _expose_due(rig, reader, stop)
    reader.catch_up()
    _expose_due(rig, reader, stop)


def _expose_due(rig: Rig, reader: Reader, stop: threading.Event) -> None:
    for again in reader.due():
        _end_if(stop)
        reader.put(expose_again(rig, again))


def _end_if(stop: threading.Event) -> None:
    if stop.is_set():
        raise Stopped(
            "The scan was stopped before its end.",
            safe="All fields read so far are recorded.",
            remedy="Start the same scan again to go on from there.",
        )
