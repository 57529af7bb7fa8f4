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
import scipy.fft
from numpy.typing import NDArray

from appliance.scan.focus.baseline import Baseline
from appliance.scan.focus.measure import colour_planes
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
_GREEN = 1
_CLEAR = 0.95
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
    red, green_1, green_2, blue = colour_planes(frame)
    green = cv2.addWeighted(green_1, 0.5, green_2, 0.5, 0.0, dtype=cv2.CV_32F)
    window, rings, weight = _window()
    counts = np.bincount(rings, weight, minlength=BANDS + 1)[:BANDS]
    power, doubt = np.zeros((3, BANDS)), np.zeros((3, BANDS))
    for colour, plane in enumerate((red.astype(np.float32), green, blue.astype(np.float32))):
        tiles = _tiles(plane)
        mean = tiles.mean(axis=(1, 2))
        spectrum = scipy.fft.rfft2((tiles - mean[:, None, None]) * window, workers=1)
        energy = (spectrum.real**2 + spectrum.imag**2).mean(axis=0)
        own = np.bincount(rings, energy.ravel() * weight, minlength=BANDS + 1)[:BANDS] / counts / _TILE**2
        noise = (baseline.gain * float(mean.mean()) + _QUANTISED) * (0.5 if colour == _GREEN else 1.0)
        clear = float(np.quantile(plane[::8, ::8], _CLEAR))
        power[colour] = (own - noise) / clear**2
        doubt[colour] = noise * np.sqrt(_CORRELATED / (counts * len(tiles))) / clear**2
    return Bands(power, doubt)


def _tiles(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, _TILE, _TILE): as many tiles as fit, spread so that they reach all rims."""
    rows, cols = (np.linspace(0, side - _TILE, max(1, side // _TILE)).round().astype(int) for side in plane.shape)
    return np.stack([plane[row : row + _TILE, col : col + _TILE] for row in rows for col in cols])


@lru_cache(maxsize=1)
def _window() -> tuple[NDArray[np.float32], NDArray[np.intp], Floats]:
    """Hann window of unit mean square, the band of each spectrum value (BANDS: none), and its weight."""
    hann = np.hanning(_TILE)
    window = np.outer(hann, hann)
    window /= np.sqrt((window**2).mean())
    rows, cols = np.fft.fftfreq(_TILE)[:, None], np.fft.rfftfreq(_TILE)[None, :]
    place = np.floor(np.hypot(rows, cols) * _STEPS)
    rings = np.full(place.shape, BANDS)
    for band, (low, high) in enumerate(RINGS):
        rings[(place >= low) & (place < high)] = band
    weight = np.broadcast_to(np.where((cols == 0) | (cols == 0.5), 1.0, 2.0), place.shape)
    return window.astype(np.float32), rings.ravel(), weight.ravel().astype(np.float64)
