"""As Squid does it: a stack at every third field, stopped once sharpness falls; the fields between keep its height.

Written anew from what its code does (codebases reference 1.1, `auto_focus_worker.py`; domain reference [S62]): go down
half the planes, climb up to N = 10 of them, stop when the mean squared Laplacian of the middle 800 x 800 px falls below
0.85 of its highest value, go back down and up to the highest. No height between planes, no confidence, never a "no".
The step is the user's there; here it is half a depth of field. Taking up backlash is left to the stage.
"""

from __future__ import annotations

from appliance.cli.focus_methods.method import STEP_DOF, Kept, Setup
from appliance.cli.focus_methods.sharpness import centre, green, laplacian
from appliance.scan.plan import PlannedField

_PLANES = 10
_STOP_BELOW = 0.85
_EVERY = 3
_CROP_PX = 800


class Squid:
    """Contrast focus every third field."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._z_um = setup.start_um
        self._visited = 0

    def visit(self, field: PlannedField) -> Kept:
        """Always calls it in focus."""
        self._setup.go_to(field)
        if self._visited % _EVERY == 0:
            self._z_um = self._focused()
        self._visited += 1
        return Kept(self._setup.expose_at(self._z_um).frame_id, in_focus=True)

    def _focused(self) -> float:
        step_um = STEP_DOF * self._setup.optics.dof_um
        bottom_um = self._z_um - step_um * round(_PLANES / 2)
        values: list[float] = []
        for plane in range(1, _PLANES + 1):
            frame = self._setup.expose_at(bottom_um + plane * step_um)
            values.append(laplacian(centre(green(frame.pixels), _CROP_PX // 2)))
            if values[-1] < _STOP_BELOW * max(values):
                break
        return bottom_um + (values.index(max(values)) + 1) * step_um
