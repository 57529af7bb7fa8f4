"""How the objective blurs: optical transfer functions over defocus, and the depth of field."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from drivers.twin.settings import OpticsSettings

WAVELENGTHS_UM = (0.61, 0.53, 0.46)
"""Of red, green and blue. Source: domain reference 3.6."""

GREEN_UM = 0.55
SENSOR_PIXEL_UM = 5.86

_FINE_UM = 0.1
_FINE_LIMIT_UM = 12.0
_GROWTH = 1.02
_LIMIT_UM = 120.0
_SAMPLES = 768
_VISIBLE = 0.02


def depth_of_field_um(na: float, um_per_px: float, refractive_index: float = 1.0) -> float:
    """Depth of field, µm: lambda n / NA^2 + n e / (M NA), with lambda 0.55 µm and e the sensor's pixel.

    e / M is the pixel in the specimen, `um_per_px`. Source: Nikon MicroscopyU, "Depth of Field and Depth of Focus".
    """
    return GREEN_UM * refractive_index / na**2 + refractive_index * um_per_px / na


@dataclass(frozen=True)
class Optics:
    """The optics in force. Colours are in the order R, G, B everywhere.

    shift_um: how much higher the stage must go for each colour to be sharp. curvature_um: the same at the corner of
    the field, growing with the square of the distance from its centre.
    """

    na: float
    um_per_px: float
    refractive_index: float = 1.0
    shift_um: tuple[float, float, float] = (0.0, 0.0, 0.0)
    curvature_um: float = 0.0

    @classmethod
    def of(cls, settings: OpticsSettings) -> Optics:
        """The optics that the settings describe."""
        return cls(
            na=settings.aperture,
            um_per_px=settings.scale_um,
            refractive_index=settings.refractive_index,
            shift_um=(settings.red_shift_um, 0.0, settings.blue_shift_um),
            curvature_um=settings.curvature_um,
        )

    @property
    def depth_of_field_um(self) -> float:
        """See `depth_of_field_um`."""
        return depth_of_field_um(self.na, self.um_per_px, self.refractive_index)

    def otf(self, colour: int) -> OtfTable:
        """The transfer functions of one colour: 0 red, 1 green, 2 blue."""
        return otf_table(self.na, WAVELENGTHS_UM[colour], self.refractive_index)


@dataclass(frozen=True)
class OtfTable:
    """Incoherent transfer function of a defocused, aberration-free circular pupil.

    step_per_um: frequency step of a profile, cycles/µm. defocus_um: (n,) rising from 0; the function is even in it.
    values: float32 (n, samples), the radial profile at each defocus; the last sample is 0 and stands for everything
    beyond the cutoff. band: (n,) samples after which a profile no longer matters.
    """

    step_per_um: float
    defocus_um: NDArray[np.float64]
    values: NDArray[np.float32]
    band: NDArray[np.intp]

    def profile(self, defocus_um: float) -> tuple[NDArray[np.float32], int]:
        """The radial profile (samples,) at one defocus, and after how many samples it may be taken as zero."""
        at = min(abs(defocus_um), float(self.defocus_um[-1]))
        upper = int(np.searchsorted(self.defocus_um, at, side="right"))
        upper = min(upper, len(self.defocus_um) - 1)
        low, high = self.defocus_um[upper - 1], self.defocus_um[upper]
        weight = np.float32((at - low) / (high - low))
        profile = self.values[upper - 1] * (1 - weight) + self.values[upper] * weight
        return profile, int(max(self.band[upper - 1], self.band[upper]))

    def mean_profile(self, defocus_um: NDArray[np.float64]) -> tuple[NDArray[np.float32], int]:
        """As `profile`, averaged over the defocus values passed through during an exposure."""
        profiles = [self.profile(float(value)) for value in defocus_um]
        if len(profiles) == 1:
            return profiles[0]
        mean = np.mean([profile for profile, _ in profiles], axis=0, dtype=np.float32)
        return np.asarray(mean, dtype=np.float32), max(band for _, band in profiles)


def _defocus_grid() -> NDArray[np.float64]:
    """Fine near focus, then growing, because far out the function changes slowly at the frequencies that remain."""
    fine = np.arange(0.0, _FINE_LIMIT_UM, _FINE_UM)
    steps = math.ceil(math.log(_LIMIT_UM / _FINE_LIMIT_UM) / math.log(_GROWTH))
    return np.concatenate([fine, _FINE_LIMIT_UM * _GROWTH ** np.arange(steps + 1)])


@lru_cache(maxsize=16)
def otf_table(na: float, wavelength_um: float, refractive_index: float = 1.0) -> OtfTable:
    """Transfer functions for one objective and wavelength; computed once, in about 0.2 s.

    The autocorrelation of P(f) = circ(|f| lambda / NA) exp(2 pi i z (sqrt((n/lambda)^2 - |f|^2) - n/lambda)), by
    Gauss-Legendre quadrature over a quarter of the overlap of the two pupils; the other quarters are its mirror images.
    Source: Goodman, "Introduction to Fourier Optics", 6.3-6.4; domain reference 3.6.
    """
    radius = na / wavelength_um
    inverse_square = (refractive_index / wavelength_um) ** 2
    separation = np.linspace(0.0, 2.0, _SAMPLES)[:, None, None]
    node_v, weight_v = np.polynomial.legendre.leggauss(8)
    node_u, weight_u = np.polynomial.legendre.leggauss(64)
    angle = np.arccos(separation / 2) * (node_v[:, None] + 1) / 2
    v = np.sin(angle)
    width = np.cos(angle) - separation / 2
    u = width * (node_u + 1) / 2
    area = np.arccos(separation / 2) / 2 * np.cos(angle) * weight_v[:, None] * width / 2 * weight_u
    area /= np.pi / 4

    def height(u_at: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.sqrt(inverse_square - radius**2 * (u_at**2 + v**2)))

    path = height(u - separation / 2) - height(u + separation / 2)
    phase = (2 * np.pi * path).reshape(_SAMPLES, -1).astype(np.float32)
    weight = area.reshape(_SAMPLES, -1).astype(np.float32)
    grid = _defocus_grid()
    values = np.stack([(np.cos(phase * np.float32(z)) * weight).sum(axis=1, dtype=np.float32) for z in grid])
    values[:, -1] = 0.0
    visible = np.abs(values) > _VISIBLE
    band = _SAMPLES - np.argmax(visible[:, ::-1], axis=1)
    return OtfTable(2 * radius / (_SAMPLES - 1), grid, values, band.astype(np.intp))
