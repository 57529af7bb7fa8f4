"""Randomness tied to places: the same tile gives the same numbers, whoever asks first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

_OFFSET = 1 << 20  # makes tile indices non-negative for the seed sequence
_SPLINE_RMS = 0.479  # mean sum of squared cubic B-spline weights along one axis
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_STEP = np.uint64(0x9E3779B97F4A7C15)


def tile_rng(seed: int, stream: int, i: int, j: int) -> np.random.Generator:
    """The generator of tile (i, j) of a stream; streams keep kinds of content independent of each other."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, stream, i + _OFFSET, j + _OFFSET])))


def tiles_over(low_um: float, high_um: float, tile_um: float) -> range:
    """Indices of the tiles that touch an interval."""
    return range(int(np.floor(low_um / tile_um)), int(np.floor(high_um / tile_um)) + 1)


def _scramble(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Finaliser of splitmix64. Source: Steele, Lea and Flood, OOPSLA 2014."""
    value = (value ^ (value >> np.uint64(30))) * _MIX_1
    value = (value ^ (value >> np.uint64(27))) * _MIX_2
    return np.asarray(value ^ (value >> np.uint64(31)), dtype=np.uint64)


def lattice_normals(seed: int, stream: int, rows: range, cols: range) -> NDArray[np.float64]:
    """Standard normal numbers at integer lattice nodes, (len(rows), len(cols))."""
    i = (np.arange(rows.start, rows.stop) + _OFFSET).astype(np.uint64)
    j = (np.arange(cols.start, cols.stop) + _OFFSET).astype(np.uint64)
    key = _scramble(np.array([seed & (2**63 - 1), stream], np.uint64) + _STEP)
    with np.errstate(over="ignore"):
        row_part = _scramble(key[0] ^ (key[1] * _MIX_2) ^ (i * _STEP))
        mixed = _scramble(row_part[:, None] + j[None, :] * _STEP)
    uniform = ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) / float(1 << 53)
    return np.asarray(ndtri(uniform), dtype=np.float64)


def _spline_weights(axis: NDArray[np.float64], first: int, count: int) -> NDArray[np.float32]:
    """Cubic B-spline weights (len(axis), count) of lattice nodes at positions in units of the spacing."""
    distance = np.abs(axis[:, None] - (first + np.arange(count))[None, :])
    near = 2.0 / 3.0 - distance**2 + distance**3 / 2.0
    far = np.clip(2.0 - distance, 0.0, None) ** 3 / 6.0
    return np.where(distance < 1.0, near, far).astype(np.float32)


def lattice_field(
    seed: int, stream: int, spacing_um: tuple[float, float], x_um: NDArray[np.float64], y_um: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Smooth Gaussian noise of unit variance on the grid spanned by two axes, float32 (len(y_um), len(x_um)).

    spacing_um: grain along x and y. Unlimited and non-repeating; overlapping grids agree.
    """
    along_x, along_y = x_um / spacing_um[0], y_um / spacing_um[1]
    cols = range(int(np.floor(along_x[0])) - 1, int(np.floor(along_x[-1])) + 3)
    rows = range(int(np.floor(along_y[0])) - 1, int(np.floor(along_y[-1])) + 3)
    nodes = (lattice_normals(seed, stream, rows, cols) / _SPLINE_RMS).astype(np.float32)
    weights_x = _spline_weights(along_x, cols.start, len(cols))
    weights_y = _spline_weights(along_y, rows.start, len(rows))
    return np.asarray(weights_y @ (nodes @ weights_x.T), dtype=np.float32)
