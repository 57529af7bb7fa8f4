"""The plain answer: 21 planes around the last height, and the sharpest is kept.

Whole-slide scanners take up to 21 exposures per tile (domain reference 3.1, [S63]).
"""

from __future__ import annotations

from appliance.cli.focus_methods.method import STEP_DOF, Kept, Setup
from appliance.cli.focus_methods.sharpness import green, tenengrad
from appliance.scan.plan import PlannedField

_BESIDE = 10


class Exhaustive:
    """Ten planes to either side, half a depth of field apart; a frame of the stack itself is kept."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._z_um = setup.start_um

    def visit(self, field: PlannedField) -> Kept:
        """Always calls it in focus."""
        self._setup.go_to(field)
        step_um = STEP_DOF * self._setup.optics.dof_um
        seen = []
        for plane in range(-_BESIDE, _BESIDE + 1):
            z_um = self._z_um + plane * step_um
            frame = self._setup.expose_at(z_um)
            seen.append((tenengrad(green(frame.pixels)), z_um, frame.frame_id))
        _, self._z_um, frame_id = max(seen)
        return Kept(frame_id, in_focus=True)
