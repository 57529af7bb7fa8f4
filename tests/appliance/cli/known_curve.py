"""A stage and a camera over something that is sharp at one known height, for methods that search for it."""

from __future__ import annotations

import numpy as np

from appliance.cli.focus_methods.method import Setup
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.plan import PlannedField
from drivers.camera.frame import CameraInfo, CameraSettings, Frame, FrameStatus, PixelFormat
from drivers.stage import Move, MoveTimes

OPTICS = FocusOptics(0.5, 0.293)
EXPOSURE = CameraSettings(5.0)
_FRAME_S = 0.029
_PATTERN = np.random.default_rng(5).uniform(-1.0, 1.0, (96, 128))


class KnownCurve:
    """Contrast is a Lorentz curve over height, as wide as that of real fields. heights_um: of each frame, by number.

    Both interfaces in one: moves take no time unless they creep.
    """

    def __init__(self, best_um: float) -> None:
        self.best_um = best_um
        self.heights_um: dict[int, float] = {}
        self.now_s = 0.0
        self._way = (0.0, 0.0, 0.0, 0.0)
        self._pending = 0

    def setup(self, fields: int, start_um: float) -> Setup:
        places = tuple(PlannedField(i, 1000.0 * i, 500.0) for i in range(fields))
        return Setup(self, self, EXPOSURE, places, start_um, OPTICS)

    def z_um(self, at_s: float) -> float:
        from_um, to_um, start_s, end_s = self._way
        return to_um if at_s >= end_s else from_um + (to_um - from_um) * (at_s - start_s) / (end_s - start_s)

    def move(self, x_um: float | None = None, y_um: float | None = None, z_um: float | None = None) -> Move:
        return self._towards(self._way[1] if z_um is None else z_um, 0.0)

    def creep(self, z_um: float, speed_um_s: float) -> Move:
        return self._towards(z_um, abs(z_um - self.z_um(self.now_s)) / speed_um_s)

    def _towards(self, z_um: float, motion_s: float) -> Move:
        self._way = (self.z_um(self.now_s), z_um, self.now_s, self.now_s + motion_s)
        return Move(1, {"z": z_um}, (), motion_s, 0.0, self.now_s)

    def wait(self, move: Move) -> MoveTimes:
        self.now_s = max(self.now_s, self._way[3])
        return MoveTimes(move.motion_s, 0.0)

    def retract(self) -> bool:
        return True

    def info(self) -> CameraInfo:
        return CameraInfo("painted", "1", 128, 96, PixelFormat.BAYER_RG8, 24.0)

    def configure(self, settings: CameraSettings) -> CameraSettings:
        return settings

    def trigger(self) -> None:
        self._pending = len(self.heights_um) + 1
        self.heights_um[self._pending] = self.z_um(self.now_s)

    def exposed(self, timeout_s: float) -> None:
        """A picture of no duration."""

    def grab(self, timeout_s: float) -> Frame:
        trigger_ns = round(self.now_s * 1e9)
        self.now_s += _FRAME_S
        away = (self.heights_um[self._pending] - self.best_um) / OPTICS.dof_um
        pixels = np.rint(120 + 100 / (1 + away**2) * _PATTERN).astype(np.uint8)
        host_ns = round(self.now_s * 1e9)
        return Frame(self._pending, pixels, PixelFormat.BAYER_RG8, trigger_ns, host_ns, EXPOSURE, FrameStatus.OK)

    def close(self) -> None:
        return
