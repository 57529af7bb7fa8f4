"""A microscope over painted slides: coloured discs that blur with distance from their height. Fast, and all is known.

For what focusing decides. How well it does so is measured on the twin (`focus_bench`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from appliance.scan.focus.optics import FocusOptics
from drivers.camera.frame import CameraSettings, Frame, FrameStatus, PixelFormat

OPTICS = FocusOptics(na=0.5, um_per_px=0.293)
DOF_UM = OPTICS.dof_um
HEIGHT, WIDTH = 384, 512
CLEAR = (215.0, 220.0, 200.0)
BLUE, PALE, GREY, INK = (70.0, 60.0, 130.0), (205.0, 206.0, 196.0), (90.0, 92.0, 84.0), (8.0, 20.0, 75.0)
_GAIN = 0.008

Picture = NDArray[np.float32]
Colour = tuple[float, float, float]


def clear() -> Picture:
    """A field with nothing on it."""
    return np.full((HEIGHT, WIDTH, 3), CLEAR, np.float32)


def with_discs(
    picture: Picture, count: int, colour: tuple[float, float, float], *, seed: int = 0, px: int = 9
) -> Picture:
    """The picture with discs of one colour."""
    rng = np.random.default_rng(seed)
    painted = picture.copy()
    for _ in range(count):
        cv2.circle(painted, (int(rng.integers(0, WIDTH)), int(rng.integers(0, HEIGHT))), px, colour, -1, cv2.LINE_AA)
    return painted


def cells(count: int = 60, seed: int = 0) -> Picture:
    """A field of stained cells."""
    return with_discs(with_discs(clear(), count, PALE, seed=seed + 1, px=16), count, BLUE, seed=seed)


def inked(picture: Picture, share: float = 1.0) -> Picture:
    """The picture with its upper part under ink, with a wavy edge."""
    painted = picture.copy()
    if share >= 1:
        painted[:] = INK
        return painted
    for col in range(WIDTH):
        painted[: int(share * HEIGHT + 6 * math.sin(col / 7)), col] = INK
    return painted


def bayer(picture: Picture, rng: np.random.Generator) -> NDArray[np.uint8]:
    """What the sensor gives: RGGB sites, photon noise, whole grey levels."""
    raw = picture[..., 1].copy()
    raw[0::2, 0::2] = picture[0::2, 0::2, 0]
    raw[1::2, 1::2] = picture[1::2, 1::2, 2]
    raw += rng.normal(size=raw.shape) * np.sqrt(_GAIN * np.maximum(raw, 0))
    return np.clip(np.round(raw), 0, 255).astype(np.uint8)


def frame(pixels: NDArray[np.uint8], number: int = 1) -> Frame:
    """A complete frame of these pixels."""
    kind = PixelFormat.BAYER_RG8 if pixels.ndim == 2 else PixelFormat.RGB8
    return Frame(number, pixels, kind, number, number + 1, CameraSettings(5.0), FrameStatus.OK)


class PaintedSlide:
    """Stage and camera over a slide whose every field shows the same picture at its own height.

    height_um: best focus by place. layers: picture, and how far above the field's height it is in focus.
    blur_px_per_dof: standard deviation of blur. log: (x, y, z) of every exposure.
    """

    def __init__(
        self,
        layers: list[tuple[Picture, float]],
        height_um: Callable[[float, float], float] = lambda _x, _y: 3000.0,
        *,
        blank: Callable[[float, float], bool] = lambda _x, _y: False,
    ) -> None:
        self._layers = layers
        self._height_um = height_um
        self._blank = blank
        self._rng = np.random.default_rng(1)
        self._at = (0.0, 0.0)
        self.log: list[tuple[float, float, float]] = []

    @property
    def heights(self) -> list[float]:
        return [z for _, _, z in self.log]

    def now_s(self) -> float:
        return 0.3 * len(self.log)

    def go_to(self, x_um: float, y_um: float, z_um: float | None = None) -> None:
        self._at = (x_um, y_um)

    def expose_at(self, z_um: float) -> Frame:
        self.log.append((*self._at, z_um))
        best = self._height_um(*self._at)
        base = np.array(CLEAR, np.float32)
        light = np.ones((HEIGHT, WIDTH, 3), np.float32)
        for picture, above in self._layers:
            share = clear() / base if self._blank(*self._at) else picture / base
            sigma = 1.5 * abs(z_um - best - above) / DOF_UM
            light *= cv2.GaussianBlur(share, (0, 0), sigma) if sigma > 0.05 else share
        return frame(bayer(light * base, self._rng), len(self.log))
