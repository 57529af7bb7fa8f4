"""The scan loop: survey the surface, then visit, focus and hand over each planned field.

While a field is scored and recorded by the reader, the stage is already moving; a full queue holds the stage back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Set
from contextlib import suppress

from appliance.errors import ApplianceError
from appliance.scan.events import ScanListener
from appliance.scan.focus.axial import AxialCurve
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.focus.survey import Survey, survey
from appliance.scan.plan import Plan, PlannedField
from appliance.scan.reader import Capture, Reader
from appliance.scan.rig import Meter, Rig
from appliance.scan.step import focus_planned
from appliance.settings import FocusSection, Settings
from drivers.errors import DeviceError


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
    """Read every field of the plan that is not in `recorded`; returns when all are recorded.

    A slide on which the survey finds nothing is visited all the same: every field then says for itself that it is
    blank or obscured. curve: of the device, where it was calibrated. stop: ends the scan after the field in hand
    (raises Stopped).
    Raises DeviceError, and what the reader met; the objective is retracted on every way out.
    """
    todo = [field for field in plan.fields if field.index not in recorded]
    if not todo:
        return
    optics = FocusOptics(settings.optics.na, settings.optics.um_per_px)
    try:
        listener.step("surveying")
        known = survey(rig, [(f.x_um, f.y_um) for f in plan.fields], settings.focus, optics, curve=curve)
        listener.surveyed(rig.meter.take())
        for field in todo:
            if stop.is_set():
                raise Stopped(
                    "The scan was stopped before its end.",
                    safe="All fields read so far are recorded.",
                    remedy="Start the same scan again to go on from there.",
                )
            reader.put(_capture(rig, field, known, settings.focus, optics))
        reader.finish()
    except BaseException:
        # What went wrong first is what the person must hear of; the stage has made itself safe where it could.
        with suppress(DeviceError):
            rig.retract()
        raise
    rig.retract()


def _capture(rig: Rig, field: PlannedField, known: Survey, settings: FocusSection, optics: FocusOptics) -> Capture:
    """Go to one field, focus it, and learn from it."""
    start = time.perf_counter()
    rig.go_to(field.x_um, field.y_um)
    arrived = rig.meter.seconds.copy()
    focusing = time.perf_counter()
    focused = focus_planned(rig, field, known, settings, optics)
    focusing = time.perf_counter() - focusing
    meter = rig.meter.take()
    seconds = _parts(arrived, meter, focusing, time.perf_counter() - start)
    return Capture(field, focused.outcome, focused.reason, focused.result, focused.frame, meter, seconds)


def _parts(arrived: dict[str, float], meter: Meter, focusing_s: float, total_s: float) -> dict[str, float]:
    """Wall seconds of one field: the way there and its settling, one exposure, the rest of focusing, and the host.

    Focus holds all heights and exposures but the one exposure that every field needs anyway.
    """
    expose_s = meter.seconds["expose"] / max(meter.exposures, 1)
    parts = {
        "move": arrived["move"],
        "settle": arrived["settle"],
        "focus": focusing_s - expose_s,
        "expose": expose_s,
    }
    return {**parts, "host": total_s - sum(parts.values())}
