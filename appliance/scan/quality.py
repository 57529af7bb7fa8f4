"""How good the kept picture is, and whether it can be read at all. Needs nothing but the picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from appliance.records import ImageQuality, Outcome

_CELL_PX = 8
_BRIGHT = 90.0
"""Percentile of a channel that stands for the clear background; a full field still shows some between its cells."""
_STAINED_OD = 0.05
_BLACK_LEVEL = 40.0
"""Grey level in the brightest channel below which nothing can be read: optical density 0.8 under a full-scale lamp."""
_DARK_LEVEL = 20.0
_OBSCURED_SHARE = 0.5
_SATURATED_SHARE = 0.25
_SHARP_STEP_PX = 2


def measure_quality(rgb: NDArray[np.uint8]) -> ImageQuality:
    """Background, saturation, stain, cover and sharpness of a picture. rgb: uint8 (H, W, 3), at least 64 px a side."""
    height, width = rgb.shape[:2]
    cells = cv2.resize(rgb, (width // _CELL_PX, height // _CELL_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    background = np.percentile(cells.reshape(-1, 3), _BRIGHT, axis=0)
    density = np.log10((background + 1.0) / (cells + 1.0))
    black = cells.max(axis=2) < _BLACK_LEVEL
    strongest = density.max(axis=2)
    return ImageQuality(
        background_rgb=(float(background[0]), float(background[1]), float(background[2])),
        saturated=float((rgb[::4, ::4].max(axis=2) == np.uint8(255)).mean()),
        stain_od=float(np.percentile(strongest[~black], 95)) if (~black).any() else 0.0,
        covered=float(((strongest > _STAINED_OD) & ~black).mean()),
        obscured=float(black.mean()),
        sharpness=_sharpness(rgb[..., 1]),
    )


def _sharpness(green: NDArray[np.uint8]) -> float:
    """Energy of differences between near pixels over that of a local noise estimate; 1 is a picture without detail.

    The noise is estimated from the second difference of neighbours. Source: Immerkaer, Computer Vision and Image
    Understanding 64 (1996) 300, its one-dimensional form.
    """
    plane = green[::2].astype(np.float32)
    step = plane[:, _SHARP_STEP_PX:] - plane[:, :-_SHARP_STEP_PX]
    second = plane[:, 2:] - 2 * plane[:, 1:-1] + plane[:, :-2]
    noise = 1.4826 * float(np.median(np.abs(second))) / np.sqrt(6.0)
    return float((step**2).mean() / max(2 * noise**2, 0.1))


def classify(quality: ImageQuality) -> tuple[Outcome, str]:
    """Whether a field that was focused can be read; if not, why.

    Never blank: focusing has seen structure there, and a few pale bacilli cover next to nothing.
    """
    if quality.obscured > _OBSCURED_SHARE:
        return Outcome.FAILED, "obscured"
    if max(quality.background_rgb) < _DARK_LEVEL:
        return Outcome.FAILED, "too dark: is the lamp on?"
    if quality.saturated > _SATURATED_SHARE:
        return Outcome.FAILED, "overexposed"
    return Outcome.USABLE, ""
