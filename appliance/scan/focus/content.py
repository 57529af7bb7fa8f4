"""What is in a field: stained structure, nothing, or something that hides it. Asked before focus is ever searched.

Every threshold is an optical density or a multiple of the noise, so it holds for any lamp, gain and objective; the
grid is coarse enough that a few depths of field of defocus change little.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from appliance.scan.focus.baseline import Baseline
from appliance.scan.focus.measure import BLOCK_CELLS, FloatGrid, Measurement

BoolGrid = NDArray[np.bool_]

_COLOURED = 0.02
"""Optical density by which channels must differ from cell to cell for a block to hold stain."""
_COLOUR_SHARE = 0.12
"""And by how much of the total contrast: dust and ink are grey."""
_SHARP = 6.0
"""Standard deviations of noise above which a block has texture."""
_STAINED = 0.05
BLACK_OD = 0.9
"""Optical density in every channel that hides what lies there (ink, thick blood)."""
_HALO_BLOCKS = 2
"""Blocks around a hidden place that its blurred edge reaches."""


@dataclass(frozen=True)
class Content:
    """structured: blocks with stained structure. obscured: blocks that cannot be read, with a rim. Both (rows, cols).

    covered: share of the field that is stained. hidden: share that is obscured, without the rim.
    """

    structured: BoolGrid
    obscured: BoolGrid
    covered: float
    hidden: float


def look(measurement: Measurement, baseline: Baseline) -> Content:
    """What one frame shows."""
    density = baseline.density(measurement)
    darkest = density.min(axis=2)
    black = darkest > BLACK_OD
    obscured = _grown(_any(black, measurement.energy.shape))
    colour = density.max(axis=2) - darkest
    contrast, coloured = _contrast(density.mean(axis=2)), _contrast(colour)
    stained = (coloured > _COLOURED) & (coloured > _COLOUR_SHARE * contrast)
    sharp = baseline.excess(measurement) > _SHARP * baseline.scatter(measurement)
    covered = (density.max(axis=2) > _STAINED) & ~black
    return Content(
        structured=_any(stained, measurement.energy.shape) & sharp & ~obscured,
        obscured=obscured,
        covered=float(covered.mean()),
        hidden=float(black.mean()),
    )


def _contrast(cells: FloatGrid) -> FloatGrid:
    """Range of values among each cell and its eight neighbours."""
    kernel = np.ones((3, 3), np.uint8)
    return np.asarray(cv2.dilate(cells, kernel) - cv2.erode(cells, kernel), dtype=np.float32)


def _any(cells: BoolGrid, shape: tuple[int, ...]) -> BoolGrid:
    """Whether any cell of a block is set."""
    rows, cols = shape
    return np.asarray(cells.reshape(rows, BLOCK_CELLS, cols, BLOCK_CELLS).any(axis=(1, 3)))


def _grown(blocks: BoolGrid) -> BoolGrid:
    side = 2 * _HALO_BLOCKS + 1
    return np.asarray(cv2.dilate(blocks.astype(np.uint8), np.ones((side, side), np.uint8)) > 0)
