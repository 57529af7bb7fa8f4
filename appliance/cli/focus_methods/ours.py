"""Our own way: survey, predict, judge one picture on the way to the next, bracket where that settles nothing."""

from __future__ import annotations

from appliance.cli.focus_methods.method import Kept, Method, Setup
from appliance.records import Outcome
from appliance.scan.captures import Captures
from appliance.scan.focus.axial import AxialCurve
from appliance.scan.focus.survey import survey
from appliance.scan.plan import PlannedField
from appliance.scan.rig import Rig
from appliance.settings import FocusSection


class Ours:
    """As `appliance.scan.scanner` does it, without its reader. The start height is not used."""

    def __init__(self, setup: Setup, focus: FocusSection, curve: AxialCurve | None) -> None:
        rig = Rig(setup.stage, setup.camera, setup.exposure, clock=setup.clock)
        places = [(field.x_um, field.y_um) for field in setup.fields]
        known = survey(rig, places, focus, setup.optics, curve=curve)
        rig.meter.take()
        self._captures = Captures(rig, known, focus, setup.optics).of(setup.fields)

    def visit(self, field: PlannedField) -> Kept:  # noqa: ARG002 - captures come in the order in which they are settled
        """The next field that is settled. A frame counts as kept where the field is usable."""
        done = next(self._captures)
        kept = done.frame is not None and done.outcome is Outcome.USABLE
        surveyed, expected_um = done.meter.exposures == 0, done.focus.predicted_z_um
        over_um = None if surveyed or expected_um is None else expected_um - done.focus.z_um
        return Kept(done.frame.frame_id if kept and done.frame else None, kept, done.focus.exposures, over_um)


def ours(focus: FocusSection, curve: AxialCurve | None) -> Method:
    """Our method with these settings. curve: the device's; without it every field is bracketed."""
    return lambda setup: Ours(setup, focus, curve)
