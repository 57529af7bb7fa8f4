"""How good the kept picture is, and whether it can be read at all. Needs nothing but the picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from appliance.records import ImageQuality, Outcome
from appliance.scan.levels import LEVELS, percentile

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
_SECOND = np.array([[1, -2, 1]], np.float32)


def measure_quality(rgb: NDArray[np.uint8]) -> ImageQuality:
    """Background, saturation, stain, cover and sharpness of a picture. rgb: uint8 (H, W, 3), at least 64 px a side.

    Every second row tells of cells, and every fourth of sharpness, what all would.
    """
    size = (rgb.shape[1] // _CELL_PX, rgb.shape[0] // _CELL_PX)
    cells = cv2.split(cv2.resize(rgb[::2], size, interpolation=cv2.INTER_AREA))
    red, green, blue = (percentile(plane, _BRIGHT) for plane in cells)
    density = [_density(clear)[plane] for plane, clear in zip(cells, (red, green, blue), strict=True)]
    black = np.maximum.reduce(cells) < _BLACK_LEVEL
    strongest = np.maximum.reduce(density)
    return ImageQuality(
        background_rgb=(red, green, blue),
        saturated=_saturated(rgb),
        stain_od=float(np.percentile(strongest[~black], 95)) if (~black).any() else 0.0,
        covered=float(((strongest > _STAINED_OD) & ~black).mean()),
        obscured=float(black.mean()),
        sharpness=_sharpness(cv2.extractChannel(rgb[::4], 1)),
    )


def _density(clear: float) -> NDArray[np.float64]:
    """Optical density over a clear place, for each grey level."""
    return np.asarray(np.log10((clear + 1.0) / (np.arange(LEVELS) + 1.0)))


def _saturated(rgb: NDArray[np.uint8]) -> float:
    """Share of pixels, of every fourth in every fourth row, with any channel at full scale."""
    most = LEVELS - 2
    below = cv2.inRange(rgb[::4], (0, 0, 0), (most, most, most))[:, ::4]
    return 1.0 - float(np.count_nonzero(below)) / int(below.size)


def _sharpness(green: NDArray[np.uint8]) -> float:
    """Energy of differences between near pixels over that of a local noise estimate; 1 is a picture without detail.

    The noise is estimated from the second difference of neighbours. Source: Immerkaer, Computer Vision and Image
    Understanding 64 (1996) 300, its one-dimensional form. green: (rows, columns), along which the differences run.
    """
    ahead, behind = green[:, _SHARP_STEP_PX:], green[:, :-_SHARP_STEP_PX]
    energy = cv2.norm(ahead, behind, cv2.NORM_L2SQR) / ahead.size
    second = cv2.convertScaleAbs(cv2.filter2D(green, cv2.CV_16S, _SECOND))[:, 1:-1]
    noise = 1.4826 * percentile(second, 50.0) / np.sqrt(6.0)
    return float(energy / max(2 * noise**2, 0.1))


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
