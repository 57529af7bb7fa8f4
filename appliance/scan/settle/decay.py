"""From displacements after a move to the wait after which the picture stands still enough. Pure.

The stage rings: at a delay t it is displaced by A exp(-t / tau) cos(phase). Where in a period a picture falls is left
to chance, so the phase may be anything, and the frequency need not be known: what is fitted is the envelope. Noise and
vibration add what pairs of pictures at rest show. Every A and tau of a grid is weighed by how well it explains what was
seen, and the wait is one that suffices for most of that weight: few or noisy pictures make it longer, never shorter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHORTEST_MS, LONGEST_MS = 5.0, 300.0
TOLERANCE_PX = 0.5
_SURE = 0.95
"""Weight of the envelopes for which the wait suffices."""
_AMPLITUDE_PX = (0.05, 400.0)
_TAU_MS = (1.0, 200.0)
_STEPS = 160
_PHASES = 24
_STRAY, _STRAY_PX = 0.02, 100.0
"""Share of displacements that may be anything, and how large that is: a picture mistaken, somebody at the bench."""
_SHARPEST_PX = 0.03
"""Displacements are not told better than this."""
_MAD = 1.4826
"""Standard deviation of normal numbers over the median of their absolute values."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Displaced:
    """A picture triggered so long after the axis reported idle, against one at rest, in pixels of the sensor."""

    delay_s: float
    columns_px: float
    rows_px: float


@dataclass(frozen=True)
class Settling:
    """wait_ms: after which displacements stay below the tolerance, surely enough, within 5 and 300 ms.

    likely_ms: the same for the likeliest envelope, whose amplitude and time constant follow. rest_px: what pictures at
    rest are displaced against each other, 1 sigma. bounded: whether 300 ms are not enough.
    """

    wait_ms: float
    likely_ms: float
    amplitude_px: float
    tau_ms: float
    rest_px: float
    bounded: bool


def settling(moved: Sequence[Displaced], at_rest: Sequence[Displaced]) -> Settling:
    """What pictures after moves, and pairs of pictures at rest, say of an axis. Needs at least one of each."""
    vectors = _vectors(moved)
    # The direction that the displacements mostly take: how the camera is turned against the axis is not asked.
    direction = np.linalg.svd(vectors, full_matrices=False)[2][0]
    displaced_px, rest_px = vectors @ direction, np.abs(_vectors(at_rest) @ direction)
    sigma_px = max(_MAD * float(np.median(rest_px)), _SHARPEST_PX)
    amplitude, tau = np.meshgrid(np.geomspace(*_AMPLITUDE_PX, _STEPS), np.geomspace(*_TAU_MS, _STEPS), indexing="ij")
    fit = np.zeros_like(amplitude)
    for one, px in zip(moved, displaced_px, strict=True):
        envelope = amplitude * np.exp(-max(one.delay_s, 0.0) * 1e3 / tau)
        fit += np.log((1 - _STRAY) * _ringing(float(px), envelope, sigma_px) + _STRAY * _normal(float(px), _STRAY_PX))
    weight = np.exp(fit - fit.max())
    wait = np.maximum(tau * np.log(amplitude / TOLERANCE_PX), 0.0)
    best = np.unravel_index(int(fit.argmax()), fit.shape)
    sure_ms = _quantile(wait.ravel(), weight.ravel(), _SURE)
    return Settling(
        wait_ms=float(np.ceil(min(max(sure_ms, SHORTEST_MS), LONGEST_MS))),
        likely_ms=float(wait[best]),
        amplitude_px=float(amplitude[best]),
        tau_ms=float(tau[best]),
        rest_px=sigma_px,
        bounded=sure_ms > LONGEST_MS,
    )


def _vectors(displaced: Sequence[Displaced]) -> Array:
    return np.array([(one.columns_px, one.rows_px) for one in displaced], dtype=np.float64)


def _ringing(px: float, envelope_px: Array, sigma_px: float) -> Array:
    """Density of a displacement under an envelope, at any phase, with this much noise."""
    cosines = np.cos((np.arange(_PHASES) + 0.5) * np.pi / _PHASES)
    return np.asarray(np.mean([_normal(px - envelope_px * c, sigma_px) for c in cosines], axis=0))


def _normal(px: Array | float, sigma_px: float) -> Array:
    """Density of the normal distribution."""
    return np.asarray(np.exp(-0.5 * (np.asarray(px) / sigma_px) ** 2) / (np.sqrt(2 * np.pi) * sigma_px))


def _quantile(values: Array, weights: Array, share: float) -> float:
    """The value below which lies this share of the weight."""
    order = np.argsort(values)
    return float(values[order][np.searchsorted(np.cumsum(weights[order]), share * weights.sum())])
