"""What one frame says about focus: gradient energy and colour on a coarse grid, in a few milliseconds.

A frame of two million pixels becomes three small arrays. Everything later (blank, ink, curve, peak) is arithmetic on
those, so frames of one field can be compared block by block without being looked at again.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from drivers.camera.frame import Frame, PixelFormat

FloatGrid = NDArray[np.float32]
Planes = list[NDArray[np.uint8]]
"""Red, two greens and blue of a frame, each half its size."""

CELL_PX = 8
"""Side of a colour cell, in pixels of the frame."""
BLOCK_CELLS = 4
"""Side of an energy block, in colour cells."""
_BLOCK_PX = CELL_PX * BLOCK_CELLS
_CELL = CELL_PX // 2
_BLOCK = _BLOCK_PX // 2


@dataclass(frozen=True)
class Measurement:
    """One frame, reduced.

    energy: float32 (rows, cols), one value per block of 32 x 32 px: mean squared difference of green samples two apart
    (Brenner's measure along rows and columns, on the raw green lattice, so that noise stays white), in grey levels
    squared. Source: Brenner et al., J. Histochem. Cytochem. 24 (1976) 100.
    cells: float32 (4 rows, 4 cols, 3), mean R, G, B per cell of 8 x 8 px, in grey levels,
    all three at the same place.
    """

    energy: FloatGrid
    cells: FloatGrid

    @property
    def level(self) -> FloatGrid:
        """Mean green per block, grey levels, (rows, cols)."""
        return self.blocks(self.cells[..., 1])

    def blocks(self, cells: FloatGrid) -> FloatGrid:
        """Mean per block of a grid of cells."""
        rows, cols = self.energy.shape
        return np.asarray(cv2.resize(cells, (cols, rows), interpolation=cv2.INTER_AREA), dtype=np.float32)


def measure(frame: Frame) -> Measurement:
    """Reduce a frame, Bayer or RGB. Rows and columns beyond a multiple of 32 are left out. Frames of at least 64 px."""
    return measure_planes(colour_planes(frame))


def measure_planes(planes: Planes) -> Measurement:
    """The same, of its colour planes."""
    red, green_1, green_2, blue = planes
    energy = _energy(green_1) + _energy(green_2)
    green = cv2.addWeighted(green_1, 0.5, green_2, 0.5, 0.0, dtype=cv2.CV_32F)
    size = (2 * green.shape[1] // CELL_PX, 2 * green.shape[0] // CELL_PX)
    cells = [cv2.resize(plane, size, interpolation=cv2.INTER_AREA).astype(np.float32) for plane in (red, green, blue)]
    cells[0], cells[2] = _moved(cells[0], 0.5 / CELL_PX), _moved(cells[2], -0.5 / CELL_PX)
    return Measurement(energy=energy * np.float32(0.5), cells=np.dstack(cells))


def _moved(cells: FloatGrid, by: float) -> FloatGrid:
    """Values a fraction of a cell further down and right, to first order.

    Red sites lie half a pixel up and left of the middle of the greens, blue sites down and right; without this,
    the rims of grey dust look coloured.
    """
    half = by / 2
    kernel = np.array([[0, -half, 0], [-half, 1, half], [0, half, 0]], np.float32)
    return np.asarray(cv2.filter2D(cells, -1, kernel, borderType=cv2.BORDER_REPLICATE), dtype=np.float32)


def colour_planes(frame: Frame) -> Planes:
    """Red, two greens and blue of the RGGB lattice, each half the size; colour frames are sampled on that lattice.

    Rows and columns of the frame beyond a multiple of 32 are left out.
    """
    height, width = (side // _BLOCK_PX * _BLOCK_PX for side in frame.pixels.shape[:2])
    pixels = frame.pixels[:height, :width]
    half = (height // 2, width // 2)
    planes = [np.empty(half, np.uint8) for _ in range(4)]
    if frame.pixel_format is PixelFormat.BAYER_RG8:
        for row in (0, 1):
            pairs = pixels[row::2].reshape(half[0], half[1], 2)
            cv2.mixChannels([pairs], planes[2 * row : 2 * row + 2], [0, 0, 1, 1])
        return planes
    for plane, row, col, channel in zip(planes, (0, 0, 1, 1), (0, 1, 0, 1), (0, 1, 1, 2), strict=True):
        plane[:] = pixels[row::2, col::2, channel]
    return planes


def _energy(plane: NDArray[np.uint8]) -> FloatGrid:
    """Mean squared difference of samples two apart, rows plus columns, per block."""
    across = cv2.absdiff(plane[:, 2:], plane[:, :-2])
    down = cv2.absdiff(plane[2:], plane[:-2])
    squares = np.zeros(plane.shape, np.float32)
    cv2.accumulateSquare(across, squares[:, 1:-1])
    cv2.accumulateSquare(down, squares[1:-1])
    rows, cols = plane.shape
    return np.asarray(cv2.resize(squares, (cols // _BLOCK, rows // _BLOCK), interpolation=cv2.INTER_AREA), np.float32)
