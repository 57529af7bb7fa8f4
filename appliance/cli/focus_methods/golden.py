"""PyLabRobot's own search, imported from its package: golden section, to 1 µm, over its own measure of sharpness.

`pylabrobot.plate_reading.imager` as installed: the search asks for sharpness at one height after the other, then one
more exposure is taken at the height it gives (codebases reference 1.7). Its unit is the millimetre. The range is its
user's; here it is the same as for the other sweeps, around the last height.
"""

from __future__ import annotations

import asyncio
import math

from pylabrobot.plate_reading.imager import _golden_ratio_search, evaluate_focus_nvmg_sobel

from appliance.cli.focus_methods.method import REACH_DOF, Kept, Setup
from appliance.cli.focus_methods.sharpness import green
from appliance.scan.plan import PlannedField

_TOLERANCE_MM = 0.001
"""Its default."""


class GoldenSection:
    """Searches at every field."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._z_um = setup.start_um

    def visit(self, field: PlannedField) -> Kept:
        """Always calls it in focus."""
        self._setup.go_to(field)
        reach_um = REACH_DOF * self._setup.optics.dof_um
        low_mm, high_mm = (self._z_um - reach_um) / 1e3, (self._z_um + reach_um) / 1e3
        best_mm = asyncio.run(_golden_ratio_search(self._sharpness, low_mm, high_mm, _TOLERANCE_MM, math.inf))
        self._z_um = float(best_mm) * 1e3
        return Kept(self._setup.expose_at(self._z_um).frame_id, in_focus=True)

    async def _sharpness(self, height_mm: float) -> float:
        return float(evaluate_focus_nvmg_sobel(green(self._setup.expose_at(height_mm * 1e3).pixels)))
