"""Stage and camera as the scan uses them: go there, take a picture at this height, and count what it cost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from drivers.camera.frame import Camera, CameraSettings, Frame, FrameStatus
from drivers.errors import FrameTimeout
from drivers.stage import Mover


@dataclass
class Meter:
    """Wall seconds by part, hardware seconds, and number of exposures since the last `take`."""

    seconds: dict[str, float] = field(default_factory=lambda: {"move": 0.0, "settle": 0.0, "expose": 0.0})
    hardware_s: float = 0.0
    exposures: int = 0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the wall time of the block to one part."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def take(self) -> Meter:
        """What has been counted so far; starts again from zero."""
        taken = Meter(dict(self.seconds), self.hardware_s, self.exposures)
        self.seconds = {"move": 0.0, "settle": 0.0, "expose": 0.0}
        self.hardware_s, self.exposures = 0.0, 0
        return taken


class Rig:
    """One stage and one camera; the only place where the scan touches hardware.

    exposure: settings in force. Frames that come incomplete, stale or not at all are taken again, at most
    `retries` times; then FrameTimeout: a frame that is not OK is never handed out.
    """

    def __init__(self, stage: Mover, camera: Camera, exposure: CameraSettings, *, retries: int = 2) -> None:
        self._stage = stage
        self._camera = camera
        self._retries = retries
        self.info = camera.info()
        self.exposure = camera.configure(exposure)
        self.meter = Meter()
        self._z_um: float | None = None

    def go_to(self, x_um: float, y_um: float, z_um: float | None = None) -> None:
        """Move X and Y (and Z) and wait until settled."""
        self._move(x_um, y_um, z_um)

    def expose_at(self, z_um: float) -> Frame:
        """A complete, fresh frame at this height, approached from below. Raises FrameTimeout, CameraLost, AxisFault."""
        if self._z_um != z_um:
            self._move(None, None, z_um)
            self._z_um = z_um
        return self._expose()

    def retract(self) -> None:
        """Objective away from the slide; the next exposure moves Z again."""
        self._z_um = None
        self._stage.retract()

    def _move(self, x_um: float | None, y_um: float | None, z_um: float | None) -> None:
        move = self._stage.move(x_um=x_um, y_um=y_um, z_um=z_um)
        times = self._stage.wait(move)
        self.meter.seconds["move"] += times.move_s
        self.meter.seconds["settle"] += times.settle_s
        self.meter.hardware_s += move.predicted_s
        self._z_um = move.targets_um.get("z", self._z_um)

    def _expose(self) -> Frame:
        frame_s = (self.exposure.exposure_ms + self.info.readout_ms) / 1000.0
        last = "none came"
        with self.meter.part("expose"):
            for _ in range(self._retries + 1):
                self.meter.exposures += 1
                self.meter.hardware_s += frame_s
                self._camera.trigger()
                try:
                    frame = self._camera.grab(timeout_s=2.0 + 3 * frame_s)
                except FrameTimeout as error:
                    last = error.what
                    continue
                if frame.status is FrameStatus.OK:
                    return frame
                last = f"frame {frame.frame_id} came {frame.status.value}"
        raise FrameTimeout(
            f"No usable frame after {self._retries + 1} triggers; {last}.",
            remedy="Check the camera's cable and bandwidth with `cytoscan doctor`.",
        )
