"""Stage and camera as the scan uses them: go there, take a picture at this height, leave, and count what it cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from drivers.camera.frame import Camera, CameraSettings, Frame, FrameStatus
from drivers.errors import DeviceError, FrameTimeout
from drivers.stage import Move, Mover


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

    def add(self, other: Meter) -> None:
        """Count what was taken elsewhere, too."""
        for name, seconds in other.seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self.hardware_s += other.hardware_s
        self.exposures += other.exposures


@dataclass(frozen=True)
class _UnderWay:
    """A move that was set off: where to in X and Y, None where Z moves alone, and the height asked for."""

    move: Move
    place: tuple[float, float] | None
    z_um: float | None


class Rig:
    """One stage and one camera; the only place where the scan touches hardware.

    exposure: settings in force. Frames that come incomplete, stale or not at all are taken again, at most
    `retries` times; then FrameTimeout: a frame that is not OK is never handed out. clock: steady seconds.
    """

    def __init__(
        self,
        stage: Mover,
        camera: Camera,
        exposure: CameraSettings,
        *,
        retries: int = 2,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stage = stage
        self._camera = camera
        self._retries = retries
        self.info = camera.info()
        self.exposure = camera.configure(exposure)
        self.meter = Meter()
        self.z_um: float | None = None
        """Height last asked for, until it is unknown."""
        self._under_way: _UnderWay | None = None
        self.now_s = clock

    def set_off(self, x_um: float, y_um: float, z_um: float | None = None) -> Move:
        """Start a move in X and Y (and Z) and return at once; `go_to` or an exposure waits for its end."""
        self._arrive()
        move = self._stage.move(x_um=x_um, y_um=y_um, z_um=z_um)
        self._under_way = _UnderWay(move, (x_um, y_um), z_um)
        return move

    def go_to(self, x_um: float, y_um: float, z_um: float | None = None) -> None:
        """Move X and Y (and Z) and wait until settled; a move there that was set off is only waited for."""
        if self._under_way is None or self._under_way.place != (x_um, y_um):
            self.set_off(x_um, y_um, z_um)
        self._arrive()

    def expose_at(self, z_um: float) -> Frame:
        """A complete, fresh frame at this height, approached from below. Raises FrameTimeout, CameraLost, AxisFault."""
        self._stand_at(z_um)
        return self._expose()

    def expose_and_leave(self, heights_um: Sequence[float], onward: tuple[float, float, float]) -> list[Frame]:
        """A frame at each height, ascending, and the stage is on its way to `onward` (x, y, z in µm).

        Each is read out while the stage moves to the next height, the last one on the way onward. The stage sets off
        when the camera says that the exposure is over, never before; where it does not say so, the stage stays. Ends
        with the first frame that does not come complete and fresh, and who wants one has to come back: nothing is taken
        again here. Raises CameraLost, AxisFault, LimitError.
        """
        frames: list[Frame] = []
        for z_um, then_um in zip(heights_um, [*heights_um[1:], None], strict=True):
            self._stand_at(z_um)
            leave = partial(self.set_off, *onward) if then_um is None else partial(self._set_off_to, then_um)
            frame = self._expose_and(leave)
            if frame is None:
                break
            frames.append(frame)
        return frames

    def retract(self) -> None:
        """Objective away from the slide; the next exposure moves Z again."""
        self.z_um, self._under_way = None, None
        self._stage.retract()

    @contextmanager
    def retracting(self) -> Iterator[None]:
        """Retracts on every way out of the block. Raises DeviceError when that fails after all went well."""
        try:
            yield
        except BaseException:
            # What went wrong first is what the person must hear of; the stage has made itself safe where it could.
            with suppress(DeviceError):
                self.retract()
            raise
        self.retract()

    def _arrive(self) -> None:
        """Wait for what was set off; only what is waited for here counts as time of moving and settling."""
        if self._under_way is None:
            return
        ended, self._under_way = self._under_way, None
        start = time.perf_counter()
        times = self._stage.wait(ended.move)
        waited_s = time.perf_counter() - start
        settling_s = min(times.settle_s, waited_s)
        self.meter.seconds["move"] += waited_s - settling_s
        self.meter.seconds["settle"] += settling_s
        self.meter.hardware_s += ended.move.predicted_s
        self.z_um = ended.move.targets_um.get("z", self.z_um) if ended.z_um is None else ended.z_um

    def _stand_at(self, z_um: float) -> None:
        """Wait for what was set off, then for this height where it is another."""
        self._arrive()
        if self.z_um != z_um:
            self._set_off_to(z_um)
            self._arrive()

    def _set_off_to(self, z_um: float) -> Move:
        """Start a move of Z alone."""
        move = self._stage.move(z_um=z_um)
        self._under_way = _UnderWay(move, None, z_um)
        return move

    def _expose_and(self, leave: Callable[[], Move]) -> Frame | None:
        """One frame, read out after the stage has left; None when none came complete and fresh."""
        exposure_s, readout_s = self.exposure.exposure_ms / 1e3, self.info.readout_ms / 1e3
        patience_s = _patience_s(exposure_s + readout_s)
        self.meter.exposures += 1
        try:
            with self.meter.part("expose"):
                self._camera.trigger()
                self.meter.hardware_s += exposure_s
                self._camera.exposed(patience_s)
            way = leave()
            self.meter.hardware_s += max(0.0, readout_s - way.predicted_s)  # no more of it than outlasts the way
            with self.meter.part("expose"):
                frame = self._camera.grab(patience_s)
        except FrameTimeout:
            return None
        return frame if frame.status is FrameStatus.OK else None

    def _expose(self) -> Frame:
        frame_s = (self.exposure.exposure_ms + self.info.readout_ms) / 1000.0
        last = "none came"
        with self.meter.part("expose"):
            for _ in range(self._retries + 1):
                self.meter.exposures += 1
                self.meter.hardware_s += frame_s
                self._camera.trigger()
                try:
                    frame = self._camera.grab(_patience_s(frame_s))
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


def _patience_s(frame_s: float) -> float:
    """How long a frame, or the end of its exposure, is waited for."""
    return 2.0 + 3 * frame_s
