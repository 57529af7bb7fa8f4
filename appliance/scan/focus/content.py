"""What is in a field: stained structure, nothing, or something that hides it. Asked before focus is ever searched.

Thresholds are optical densities or multiples of the noise, so they hold for any lamp, gain and objective; the grid is
coarse enough that a few depths of field of defocus change little.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from appliance.scan.focus.baseline import Baseline
from appliance.scan.focus.measure import BLOCK_CELLS, CELL_PX, FloatGrid, Measurement

BoolGrid = NDArray[np.bool_]

_COLOURED = 0.02
"""Optical density by which channels must differ from cell to cell for a block to hold stain."""
_STAIN_SHARE, _GREY_SHARE = 0.25, 0.15
"""Colour contrast over total contrast: surely stain above the first, surely grey below the second. Grey things show up
to an eighth, which the Bayer lattice adds at their edges; the stains of domain reference 5 reach 0.5 to 0.8."""
_GREY = 0.06
"""Contrast of optical density from which something without colour counts as dust or a bubble's rim."""
_SHARP = 20.0
"""Standard deviations of noise above which a block has texture."""
_STAINED = 0.05
_THICK = 0.6
"""Optical density, in two channels at least, through which nothing is read when it covers more than cells do."""
_THICK_UM = 60.0
"""Width from which a thick place is treated as ink. Some clusters of cells are wider; they may tell nothing of the
height of the carpet around them, so leaving them out costs nothing."""
_BLACK = 1.1
_BLACK_UM = 25.0
"""The same for what is nearly opaque: nuclei over nuclei reach this density too, but over less than 20 µm (measured on
simulated clusters)."""
_CLEARER, _BRIGHT = 0.05, 0.05
"""A field whose brightest twentieth is clearer than the baseline by more than this was not known when it was learned:
every place of the survey lay under ink."""
_DARK = 40.0
"""Grey levels: darker than this nothing is read, whatever a clear place may be like."""
_HALO_BLOCKS = 2
"""Blocks around a place that its blurred edge reaches."""


@dataclass(frozen=True)
class Content:
    """structured: blocks with stained structure. foreign: blocks with ink, dust or bubbles, a rim included.

    Both (rows, cols). covered: share of the field that is stained. hidden: share under ink, or dark.
    """

    structured: BoolGrid
    foreign: BoolGrid
    covered: float
    hidden: float


def look(measurement: Measurement, baseline: Baseline, um_per_px: float) -> Content:
    """What one frame shows."""
    shape = measurement.energy.shape
    # One colour after the other: NumPy is many times slower along an axis of three.
    colours = [_not_clearer(colour) for colour in cv2.split(baseline.density(measurement))]
    least, middle, most = _ordered(*colours)
    ink = _ink(measurement, middle, um_per_px)
    contrast = _most(_contrast((least + middle + most) / np.float32(3)), shape)
    coloured = _most(_contrast(most - least), shape)
    around = cv2.dilate(contrast, np.ones((3, 3), np.uint8))
    stained = (coloured > _COLOURED) & (coloured > _STAIN_SHARE * around)
    grey = (contrast > _GREY) & (coloured < _GREY_SHARE * contrast)
    sharp = baseline.excess(measurement) > _SHARP * baseline.scatter(measurement)
    foreign = _grown(_most(ink.astype(np.float32), shape) > 0, _HALO_BLOCKS) | _grown(grey, 1)
    return Content(
        structured=stained & sharp & ~foreign,
        foreign=foreign,
        covered=float(((most > _STAINED) & ~ink).mean()),
        hidden=float(ink.mean()),
    )


def _not_clearer(density: FloatGrid) -> FloatGrid:
    """One colour, clear at its brightest where that is clearer than the baseline."""
    clearer = min(float(np.quantile(density, _BRIGHT)) + _CLEARER, 0.0)
    return np.asarray(density - np.float32(clearer))


def _ordered(one: FloatGrid, two: FloatGrid, three: FloatGrid) -> tuple[FloatGrid, FloatGrid, FloatGrid]:
    """The smallest, the middle and the largest of three, cell by cell."""
    low, high = np.minimum(one, two), np.maximum(one, two)
    return np.minimum(low, three), np.maximum(low, np.minimum(high, three)), np.maximum(high, three)


def _ink(measurement: Measurement, middle: FloatGrid, um_per_px: float) -> BoolGrid:
    """Cells that belong to a thick, black or dark place wider than cells are, and thick ones that fray from it.

    middle: optical density in the middle one of the three colours.
    """
    dark = measurement.cells[..., 1] < _DARK
    thick = ((middle > _THICK) | dark).astype(np.uint8)
    black = ((middle > _BLACK) | dark).astype(np.uint8)
    wide, narrow = (_disc(width_um / (CELL_PX * um_per_px)) for width_um in (_THICK_UM, _BLACK_UM))
    ink = cv2.morphologyEx(thick, cv2.MORPH_OPEN, wide) | cv2.morphologyEx(black, cv2.MORPH_OPEN, narrow)
    return np.asarray((ink | (cv2.dilate(ink, wide) & thick)) > 0)


def _disc(cells: float) -> NDArray[np.uint8]:
    side = max(round(cells), 1)
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), dtype=np.uint8)


def _contrast(cells: FloatGrid) -> FloatGrid:
    """Range of values among each cell and its eight neighbours."""
    kernel = np.ones((3, 3), np.uint8)
    return np.asarray(cv2.dilate(cells, kernel) - cv2.erode(cells, kernel), dtype=np.float32)


def _most(cells: FloatGrid, shape: tuple[int, ...]) -> FloatGrid:
    """The largest value in each block."""
    rows, cols = shape
    down = cells.reshape(rows, BLOCK_CELLS, cols * BLOCK_CELLS).max(axis=1)
    return np.asarray(np.maximum.reduce([down[:, first::BLOCK_CELLS] for first in range(BLOCK_CELLS)]))


def _grown(blocks: BoolGrid, by: int) -> BoolGrid:
    side = 2 * by + 1
    return np.asarray(cv2.dilate(blocks.astype(np.uint8), np.ones((side, side), np.uint8)) > 0)
