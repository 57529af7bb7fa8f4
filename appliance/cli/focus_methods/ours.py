"""Our own way: survey, predict, judge one picture, bracket where that settles nothing."""

from __future__ import annotations

from appliance.cli.focus_methods.method import Kept, Method, Setup
from appliance.records import Outcome
from appliance.scan.focus.axial import AxialCurve
from appliance.scan.focus.survey import survey
from appliance.scan.plan import PlannedField
from appliance.scan.rig import Rig
from appliance.scan.step import focus_planned
from appliance.settings import FocusSection


class Ours:
    """As `appliance.scan.scanner` does it, field after field, without its reader. The start height is not used."""

    def __init__(self, setup: Setup, focus: FocusSection, curve: AxialCurve | None) -> None:
        self._focus = focus
        self._optics = setup.optics
        self._rig = Rig(setup.stage, setup.camera, setup.exposure)
        places = [(field.x_um, field.y_um) for field in setup.fields]
        self._known = survey(self._rig, places, focus, setup.optics, curve=curve)

    def visit(self, field: PlannedField) -> Kept:
        """A frame counts as kept where the field is usable."""
        self._rig.go_to(field.x_um, field.y_um)
        done = focus_planned(self._rig, field, self._known, self._focus, self._optics)
        usable = done.outcome is Outcome.USABLE and done.frame is not None
        return Kept(done.frame.frame_id if usable and done.frame else None, usable)


def ours(focus: FocusSection, curve: AxialCurve | None) -> Method:
    """Our method with these settings. curve: the device's; without it every field is bracketed."""
    return lambda setup: Ours(setup, focus, curve)
