"""Where a scene is about sharpest, from its spectra alone: a first guess for the picture within the frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.twin.imaging import Prepared
from drivers.twin.layers import GREEN, Block

_STRIDE = 3
_BINS = 96
_HIGHEST_PER_UM = 1.3
_COARSE_UM = 0.5
_BEYOND_UM = 2.0
_RIVAL = 0.6
_MOST = 3


@dataclass(frozen=True)
class _Curve:
    """Gradient energy of a block, as a quadratic form in the transfer functions of its levels, per radial bin.

    forms: float64 (bins, levels, levels). frequency_per_um: (bins,). heights_um: (levels,).
    """

    forms: NDArray[np.float64]
    frequency_per_um: NDArray[np.float64]
    heights_um: NDArray[np.float64]


def likely_heights(prepared: Prepared) -> list[float]:
    """Heights over the surface at which green may be sharpest, the likeliest first; empty for a scene without content.

    By Parseval, over the whole scene with its margins, and as if what different blocks hold were uncorrelated: good to
    half a depth of field, and where there are several maxima, the highest within the frame may be another one.
    """
    curves = [_curve(prepared, block) for block in prepared.blocks]
    if not curves:
        return []
    ends = np.concatenate([curve.heights_um for curve in curves])
    heights = np.arange(ends.min() - _BEYOND_UM, ends.max() + _BEYOND_UM, _COARSE_UM)
    energy = np.array([sum(_energy(prepared, curve, z) for curve in curves) for z in heights])
    padded = np.concatenate([[-np.inf], energy, [-np.inf]])
    peaks = np.flatnonzero((energy >= padded[:-2]) & (energy > padded[2:]) & (energy >= _RIVAL * energy.max()))
    return [float(heights[i]) for i in sorted(peaks, key=lambda i: -energy[i])[:_MOST]]


def _curve(prepared: Prepared, block: Block) -> _Curve:
    """Sample the green spectra on every third row and column and gather them in rings."""
    lattice = block.lattice(GREEN)
    levels = range(len(block.heights_um))
    halves = np.stack([block.spectrum(prepared.store, level, GREEN) for level in levels])
    halves = halves[:, :, ::_STRIDE, ::_STRIDE]
    rows = np.arange(0, lattice.rows // 2 + 1, _STRIDE) / (lattice.rows * lattice.pitch_um)
    cols = np.arange(0, lattice.cols // 2 + 1, _STRIDE) / (lattice.cols * lattice.pitch_um)
    radius = np.hypot(rows[:, None], cols[None, :])
    weight = _sobel_response(rows[:, None], cols[None, :], 2 * lattice.pitch_um)
    pixels = lattice.rows * lattice.cols * prepared.width_px * prepared.height_px
    weight = weight * np.where(cols == 0, 1.0, 2.0) * _STRIDE**2 / pixels
    weight[0, :] /= 2
    edges = np.linspace(0, _HIGHEST_PER_UM, _BINS + 1)
    ring = np.digitize(radius, edges) - 1
    weighted = (halves * np.sqrt(weight)).transpose(2, 3, 0, 1)
    forms = np.zeros((_BINS, len(levels), len(levels)))
    order = np.argsort(ring, axis=None, kind="stable")
    bounds = np.searchsorted(ring.ravel()[order], np.arange(_BINS + 1))
    flat = weighted.reshape(-1, len(levels), 2)[order]
    for index in range(_BINS):
        members = flat[bounds[index] : bounds[index + 1]]
        together = members.transpose(1, 0, 2).reshape(len(levels), -1)
        forms[index] = (together @ together.conj().T).real
    return _Curve(forms, (edges[1:] + edges[:-1]) / 2, np.array(block.heights_um))


def _sobel_response(
    rows_per_um: NDArray[np.float64], cols_per_um: NDArray[np.float64], pitch_um: float
) -> NDArray[np.float64]:
    """Squared frequency response of both 3×3 Sobel kernels on a lattice of `pitch_um`; periodic, so folding is in."""
    y, x = np.pi * rows_per_um * pitch_um, np.pi * cols_per_um * pitch_um
    along_x = 2 * np.sin(2 * x) * 4 * np.cos(y) ** 2
    along_y = 2 * np.sin(2 * y) * 4 * np.cos(x) ** 2
    return np.asarray(along_x**2 + along_y**2)


def _energy(prepared: Prepared, curve: _Curve, defocus_um: float) -> float:
    table = prepared.optics.otf(GREEN)
    sample = np.minimum(np.rint(curve.frequency_per_um / table.step_per_um), table.values.shape[1] - 1).astype(np.intp)
    transfer = np.stack([table.profile(defocus_um - height)[0][sample] for height in curve.heights_um], axis=1)
    return float(np.sum((curve.forms @ transfer[:, :, None])[:, :, 0] * transfer))
