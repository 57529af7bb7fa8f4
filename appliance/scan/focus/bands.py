"""What the colour planes of one frame hold by spatial frequency: the evidence of which way, and how far, it is blurred.

Red, green and blue are sharp at different heights (axial colour). How much of each frequency is left in one plane,
compared with another, therefore tells side and size of the defocus, while what the specimen itself holds largely
cancels. All of the field takes part, dust too: to cut things out would add sharp edges, and with them power to all
bands alike. Rings of the spectrum are kept apart, because the transfer function falls, and rises again, at frequencies
that move with defocus. Source: domain reference 3.4, Goodman, "Introduction to Fourier Optics", 6.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from appliance.scan.focus.baseline import Baseline
from appliance.scan.focus.measure import Planes, colour_planes
from appliance.scan.levels import Levels, percentile
from drivers.camera.frame import Frame

Floats = NDArray[np.float64]

RINGS = ((1, 2), (2, 3), (3, 5), (5, 7), (7, 10))
"""Edges of the bands, in 48ths of the sampling frequency of the half lattice; two to three to an octave, the mean left
out. Finer detail holds little but noise a depth of field away: on twin stacks it made judges of other slides worse."""
BANDS = len(RINGS)
FEATURES = 3 * BANDS - 1
_TILE = 192
"""Side of a tile, in samples of the half lattice."""
_STEPS = 48
_CLEAR = 95.0
_QUANTISED = 1.0 / 12.0
_CORRELATED = 4.0
"""Two, as each value and its mirror image count for one, and two for the window, which makes neighbours alike."""
_CERTAIN = 3.0
"""Standard deviations of its own noise that are added to a band's power: a band of noise alone then says nothing."""


@dataclass(frozen=True)
class Bands:
    """Power by colour and band, noise off, over the square of the clear level.

    power: float64 (3, BANDS), red, green, blue. doubt: the same shape, its standard deviation from noise alone.
    """

    power: Floats
    doubt: Floats

    @property
    def contrast(self) -> float:
        """Green power over its doubt in the band where cells and bacilli show most; below about 3 there is nothing."""
        return float((self.power[1] / self.doubt[1])[2:5].max())

    def features(self) -> Floats:
        """(FEATURES,): log power of red and of blue over green by band, then of green over its first band."""
        red, green, blue = np.log(np.maximum(self.power, 0.0) + _CERTAIN * self.doubt)
        return np.concatenate([red - green, blue - green, green[1:] - green[0]])


def measure_bands(frame: Frame, baseline: Baseline) -> Bands:
    """Bands of a frame of at least 384 px a side."""
    return bands_of(colour_planes(frame), baseline)


def bands_of(planes: Planes, baseline: Baseline) -> Bands:
    """The same, of its colour planes."""
    red, green_1, green_2, blue = planes
    greens = cv2.add(green_1, green_2, dtype=cv2.CV_16U)
    power, doubt = np.zeros((3, BANDS)), np.zeros((3, BANDS))
    for colour, (plane, share) in enumerate(((red, 1.0), (greens, 0.5), (blue, 1.0))):
        own, level, tiles = _spectrum(plane)
        noise = share * (baseline.gain * share * level + _QUANTISED)
        clear = share * percentile(plane[::8, ::8], _CLEAR)
        power[colour] = (share**2 * own - noise) / clear**2
        doubt[colour] = noise * np.sqrt(_CORRELATED / (_lattice().counts * tiles)) / clear**2
    return Bands(power, doubt)


def _spectrum(plane: Levels) -> tuple[Floats, float, int]:
    """Mean power of a plane's tiles by band (BANDS,), per sample; mean level; number of tiles.

    One tile after the other, so that all of it stays in the processor's cache.
    """
    lattice, levels = _lattice(), []
    tile, packed, sums = (np.zeros((_TILE, _TILE), np.float32) for _ in range(3))
    for row, col in _corners(plane.shape):
        part = plane[row : row + _TILE, col : col + _TILE]
        levels.append(cv2.mean(part)[0])
        np.subtract(part, np.float32(levels[-1]), out=tile)
        np.multiply(tile, lattice.window, out=tile)
        cv2.accumulateSquare(cv2.dft(tile, packed), sums)
    energy = np.bincount(lattice.rings, sums.ravel() * lattice.weight, minlength=BANDS + 1)[:BANDS]
    return energy / (lattice.counts * len(levels) * _TILE**2), float(np.mean(levels)), len(levels)


@lru_cache(maxsize=1)
def _corners(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """First row and column of as many tiles as fit, spread so that they reach all rims."""
    rows, cols = (np.linspace(0, side - _TILE, max(1, side // _TILE)).round().astype(int) for side in shape)
    return [(row, col) for row in rows.tolist() for col in cols.tolist()]


@dataclass(frozen=True)
class _Lattice:
    """The numbers of one tile's spectrum, as `cv2.dft` packs them into (_TILE, _TILE).

    window: Hann window of unit mean square. rings: the band of each number (BANDS: none). weight: 2, as its value and
    that value's mirror image count for one; 1 where both are the same. counts: (BANDS,) numbers in each band.
    """

    window: NDArray[np.float32]
    rings: NDArray[np.intp]
    weight: NDArray[np.float32]
    counts: Floats


@lru_cache(maxsize=1)
def _lattice() -> _Lattice:
    """Real and imaginary parts lie side by side; in the first and the last column below each other.

    Source: OpenCV reference, `cv::dft`, complex-conjugate-symmetrical packing.
    """
    hann = np.hanning(_TILE)
    window = np.outer(hann, hann)
    window /= np.sqrt((window**2).mean())
    place = np.arange(_TILE)
    paired, edge = (place + 1) // 2, np.isin(place, (0, _TILE - 1))
    down, across = np.where(edge[None, :], paired[:, None], place[:, None]), paired[None, :]
    steps = np.floor(np.hypot(np.fft.fftfreq(_TILE)[down], np.fft.rfftfreq(_TILE)[across]) * _STEPS)
    rings = np.full(steps.shape, BANDS)
    for band, (low, high) in enumerate(RINGS):
        rings[(steps >= low) & (steps < high)] = band
    weight = np.where(edge[:, None] & edge[None, :], 1.0, 2.0).astype(np.float32)
    counts = np.bincount(rings.ravel(), minlength=BANDS + 1)[:BANDS].astype(np.float64)
    return _Lattice(window.astype(np.float32), rings.ravel(), weight.ravel(), counts)
