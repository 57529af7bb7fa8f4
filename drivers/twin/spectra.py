"""Filtering pictures in the frequency domain, laid out so that one exposure is a few passes over memory.

A real picture of (rows, cols) has a spectrum of rows × (cols/2 + 1). A transfer function depends on |f| only, so rows
+j and -j share it: spectra are kept as two halves (2, rows/2 + 1, cols/2 + 1), rows 0..rows/2 and rows 0..-rows/2, and
the transfer function is looked up once for both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from drivers.twin.optics import OtfTable

Spectrum = NDArray[np.complex64]
Picture = NDArray[np.float32]


def fast_size(width: int, height: int) -> tuple[int, int]:
    """The next width and height that are multiples of 4 and quick to transform: along rows real, then complex."""
    sizes = []
    for at_least, real in ((width, True), (height, False)):
        length = -(-at_least // 4) * 4
        while scipy.fft.next_fast_len(length, real=real) != length:
            length += 4
        sizes.append(length)
    return sizes[0], sizes[1]


@dataclass(frozen=True)
class Lattice:
    """A periodic grid of samples: rows and cols (multiples of 2), pitch in µm."""

    rows: int
    cols: int
    pitch_um: float

    @property
    def spectrum_shape(self) -> tuple[int, int, int]:
        """Shape of a spectrum's two halves."""
        return 2, self.rows // 2 + 1, self.cols // 2 + 1

    @property
    def half(self) -> Lattice:
        """Every second row and column."""
        return Lattice(self.rows // 2, self.cols // 2, 2 * self.pitch_um)


def forward(picture: Picture, lattice: Lattice, *, out: Spectrum) -> None:
    """The spectrum of `picture` on `lattice`, which is the picture's own or its half (band-limited to it).

    The half lattice drops what it cannot carry, as an optical low-pass would, instead of folding it back.
    """
    _, high, wide = lattice.spectrum_shape
    spectrum = scipy.fft.rfft(picture, axis=1, workers=1)[:, :wide]
    spectrum = scipy.fft.fft(spectrum, axis=0, overwrite_x=True, workers=1)
    out[0] = spectrum[:high, :wide]
    out[1, 0] = spectrum[0, :wide]
    out[1, 1:] = spectrum[:-high:-1, :wide]
    if lattice.rows != picture.shape[0]:
        out *= np.float32(0.25)
        out[:, -1] = 0
        out[:, :, -1] = 0


def inverse(
    spectrum: Spectrum, lattice: Lattice, shift_rows: NDArray[np.float64], shift_cols: NDArray[np.float64]
) -> Picture:
    """The picture (rows, cols), seen through a camera displaced by so many lattice rows and columns.

    Several displacements are averaged, rows and columns each for itself (motion during the exposure).
    """
    high, wide = lattice.rows // 2 + 1, lattice.cols // 2 + 1
    full = np.empty((lattice.rows, wide), np.complex64)
    full[:high] = spectrum[0]
    full[high:] = spectrum[1, -2:0:-1]
    full *= _ramp(lattice.cols, shift_cols)[:wide]
    full *= _ramp(lattice.rows, shift_rows)[:, None]
    return np.asarray(scipy.fft.irfft2(full, (lattice.rows, lattice.cols), overwrite_x=True, workers=1))


def _ramp(length: int, shifts: NDArray[np.float64]) -> NDArray[np.complex64]:
    """The factor that displaces by `shifts`, averaged, for every frequency of a transform of `length`."""
    ramp = np.exp(2j * np.pi * np.outer(np.fft.fftfreq(length), shifts)).mean(axis=1)
    return np.asarray(ramp, dtype=np.complex64)


@lru_cache(maxsize=64)
def _radius_index(lattice: Lattice, step_per_um: float, last: int) -> NDArray[np.intp]:
    """Which sample of a radial profile each float of a spectrum half takes, (rows/2 + 1, 2 (cols/2 + 1))."""
    _, high, wide = lattice.spectrum_shape
    along_rows = np.arange(high)[:, None] / (lattice.rows * lattice.pitch_um)
    along_cols = np.arange(wide)[None, :] / (lattice.cols * lattice.pitch_um)
    radius = np.hypot(along_rows, along_cols) / step_per_um
    return np.minimum(np.rint(radius), last).astype(np.intp).repeat(2, axis=1)


def add_filtered(
    total: Spectrum, spectrum: Spectrum, lattice: Lattice, table: OtfTable, defocus_um: NDArray[np.float64]
) -> None:
    """Add `spectrum`, blurred as at `defocus_um` (averaged over its values), to `total`. Both are of `lattice`."""
    profile, band = table.mean_profile(defocus_um)
    reach = band * table.step_per_um * lattice.pitch_um
    high = min(int(reach * lattice.rows) + 2, lattice.rows // 2 + 1)
    wide = 2 * min(int(reach * lattice.cols) + 2, lattice.cols // 2 + 1)
    index = _radius_index(lattice, table.step_per_um, len(profile) - 1)
    transfer = np.take(profile, index[:high, :wide], mode="clip")
    for half in range(2):
        source = spectrum[half, :high].view(np.float32)[:, :wide]
        cv2.accumulateProduct(source, transfer, total[half, :high].view(np.float32)[:, :wide])
