"""A frame, the settings it was taken under, and the one interface every camera offers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class FrameStatus(str, Enum):
    """Whether a frame may be used. Only OK frames are ever focused on or scored."""

    OK = "ok"
    INCOMPLETE = "incomplete"
    STALE = "stale"


class PixelFormat(str, Enum):
    """Layout of `Frame.pixels`: raw Bayer mosaic (H, W) or colour (H, W, 3), both uint8."""

    BAYER_RG8 = "BayerRG8"
    RGB8 = "RGB8"


@dataclass(frozen=True)
class CameraSettings:
    """Exposure in milliseconds, gain in decibel."""

    exposure_ms: float
    gain_db: float = 0.0


@dataclass(frozen=True)
class CameraInfo:
    """What the camera says of itself; field size comes from here, never from a constant.

    width_px, height_px: frame size. readout_ms: from end of exposure to the frame in memory.
    """

    model: str
    serial: str
    width_px: int
    height_px: int
    pixel_format: PixelFormat
    readout_ms: float


@dataclass(frozen=True)
class Frame:
    """One exposure.

    pixels: uint8, (H, W) Bayer RGGB or (H, W, 3) RGB, owned by the receiver (never overwritten).
    frame_id: strictly increasing per camera; a gap means lost frames.
    trigger_ns, host_ns: host monotonic clock at trigger and at arrival.
    settings: in force during this exposure.
    """

    frame_id: int
    pixels: NDArray[np.uint8]
    pixel_format: PixelFormat
    trigger_ns: int
    host_ns: int
    settings: CameraSettings
    status: FrameStatus


class Camera(Protocol):
    """Configure, trigger, wait until exposed, grab. One owner thread; every call may raise CameraLost."""

    def info(self) -> CameraInfo:
        """Model, serial number and frame size."""

    def configure(self, settings: CameraSettings) -> CameraSettings:
        """Ask for settings; returns those in force, which may be rounded or clamped."""

    def trigger(self) -> None:
        """Start one exposure now."""

    def exposed(self, timeout_s: float) -> None:
        """Wait until light no longer counts for the last trigger's frame; `grab` fetches it as without this.

        The stage may leave then, before the frame has been read out. Only the camera's own word will do, never a time
        that was reckoned. With pypylon that is the ExposureEnd event, or the line whose LineSource is ExposureActive
        gone low; with Aravis and other GenICam cameras the same features; a rolling shutter's last row has to be done,
        too. A camera that has no such word (V4L2, nvarguscamerasrc) returns when the frame has come and keeps it for
        `grab`: nothing is gained, and nothing risked. Raises FrameTimeout.
        """

    def grab(self, timeout_s: float) -> Frame:
        """The frame of the last trigger. Raises FrameTimeout; never returns an older frame as OK."""

    def close(self) -> None:
        """Release the device; safe to call twice."""
