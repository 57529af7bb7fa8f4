"""As OpenFlexure does it: one even sweep upward while frames come at the camera's rate; the largest JPEG is sharpest.

Written anew from what its code does (codebases reference 1.3, `things/focus/autofocus.py`): down by half the range, up
through it, back, and up to the peak; the height of a frame is interpolated in time; the sweep is repeated around its
peak until that lies in the middle three fifths, at most ten times, and then it says that no focus was found.
Range and speed are the user's there; here frames come a quarter of a depth of field apart. The way back down is left to
the stage, which approaches every height from below. A JPEG is free on its camera and counts as host time here.
"""

from __future__ import annotations

import cv2
import numpy as np

from appliance.cli.focus_methods.method import REACH_DOF, Kept, Setup
from appliance.cli.focus_methods.sharpness import green
from appliance.scan.plan import PlannedField
from drivers.camera.frame import Frame

_SPACING_DOF = 0.25
_MIDDLE = 0.6
_TRIES = 10
_QUALITY = 75


class OpenFlexure:
    """Sweeps at every field."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._z_um = setup.start_um
        frame_s = (setup.exposure.exposure_ms + setup.camera.info().readout_ms) / 1e3
        self._speed_um_s = _SPACING_DOF * setup.optics.dof_um / frame_s

    def visit(self, field: PlannedField) -> Kept:
        """Called in focus unless every sweep had its peak near an end."""
        self._setup.go_to(field)
        reach_um = REACH_DOF * self._setup.optics.dof_um
        found = False
        for _ in range(_TRIES):
            around_um, self._z_um = self._z_um, self._sharpest(self._z_um - reach_um, self._z_um + reach_um)
            found = abs(self._z_um - around_um) <= _MIDDLE * reach_um
            if found:
                break
        return Kept(self._setup.expose_at(self._z_um).frame_id, found)

    def _sharpest(self, low_um: float, high_um: float) -> float:
        """Sweep once; the interpolated height of the largest JPEG."""
        stage = self._setup.stage
        stage.wait(stage.move(z_um=low_um))
        move = stage.creep(high_um, self._speed_um_s)
        end_s = move.started_s + move.motion_s
        sizes: list[int] = []
        heights: list[float] = []
        seen_s = move.started_s
        while seen_s < end_s:
            frame = self._setup.expose()
            middle_s = frame.trigger_ns / 1e9 + frame.settings.exposure_ms / 2e3
            heights.append(float(np.interp(middle_s, [move.started_s, end_s], [low_um, high_um])))
            sizes.append(_jpeg_bytes(frame))
            seen_s = frame.host_ns / 1e9
        stage.wait(move)
        return heights[int(np.argmax(sizes))]


def _jpeg_bytes(frame: Frame) -> int:
    picture = np.clip(green(frame.pixels), 0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return int(data.size)
