"""The camera in simulated time: time passes when a picture is waited for, and it is drawn when it is fetched."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from drivers.camera.frame import CameraInfo, CameraSettings, Frame, FrameStatus, PixelFormat
from drivers.errors import FrameTimeout
from drivers.twin.settings import CameraModel
from drivers.twin.virtual.clock import VirtualClock

MODEL = "CytoScan virtual camera"

Draw = Callable[[int, float, CameraSettings], NDArray[np.uint8]]
"""The picture, uint8 Bayer RGGB, of the frame of this number that was exposed from this second on, and no longer is."""


class VirtualCamera:
    """`Camera` whose frames are always complete and fresh. One owner thread.

    A picture that was not fetched before the next trigger is lost, as with any camera. exposures: how many were taken.
    """

    def __init__(self, model: CameraModel, serial: str, clock: VirtualClock, draw: Draw) -> None:
        self._model = model
        self._serial = serial
        self._clock = clock
        self._draw = draw
        self._settings = CameraSettings(model.nominal_exposure_ms)
        self._pending: tuple[int, CameraSettings] | None = None
        self.exposures = 0

    def info(self) -> CameraInfo:
        """Model, serial number and frame size."""
        m = self._model
        return CameraInfo(MODEL, self._serial, m.width_px, m.height_px, PixelFormat.BAYER_RG8, m.readout_ms)

    def configure(self, settings: CameraSettings) -> CameraSettings:
        """Ask for exposure and gain; returns those in force, which the camera clamps to its range."""
        m = self._model
        self._settings = CameraSettings(
            min(max(settings.exposure_ms, m.min_exposure_ms), m.max_exposure_ms),
            min(max(settings.gain_db, 0.0), m.max_gain_db),
        )
        return self._settings

    def trigger(self) -> None:
        """Start one exposure now."""
        with self._clock.simulating():
            self.exposures += 1
            self._pending = (self._clock.now_ns, self._settings)

    def exposed(self, timeout_s: float) -> None:
        """Let time pass until the exposure of the last trigger is over. Raises FrameTimeout without a trigger."""
        with self._clock.simulating():
            trigger_ns, under = self._triggered(timeout_s)
            self._clock.wait_until(trigger_ns / 1e9 + under.exposure_ms / 1e3)

    def grab(self, timeout_s: float) -> Frame:
        """The frame of the last trigger, when exposure and readout are over. Raises FrameTimeout without a trigger."""
        with self._clock.simulating():
            return self._fetched(timeout_s)

    def _triggered(self, timeout_s: float) -> tuple[int, CameraSettings]:
        if self._pending is None:
            self._clock.wait_until(self._clock.now_s + timeout_s)
            raise FrameTimeout(
                f"Virtual camera: no frame within {timeout_s:g} s, as nothing was triggered.",
                safe="The stage is not affected.",
                remedy="Trigger first.",
            )
        return self._pending

    def _fetched(self, timeout_s: float) -> Frame:
        trigger_ns, under = self._triggered(timeout_s)
        self._pending = None
        self._clock.wait_until(trigger_ns / 1e9 + (under.exposure_ms + self._model.readout_ms) / 1e3)
        return Frame(
            frame_id=self.exposures,
            pixels=self._draw(self.exposures, trigger_ns / 1e9, under),
            pixel_format=PixelFormat.BAYER_RG8,
            trigger_ns=trigger_ns,
            host_ns=self._clock.now_ns,
            settings=under,
            status=FrameStatus.OK,
        )

    def close(self) -> None:
        """Nothing to release."""
