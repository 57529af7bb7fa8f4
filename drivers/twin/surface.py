"""The height of the specimen over the slide: tilt, bow, waviness and smear topography."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field

_FEATURES = 96


class SurfaceSettings(BaseModel):
    """How uneven a slide is.

    Source: domain reference 4.4 (engineering estimates for a clamped 76 x 26 mm slide).
    topography_rms_um None: 0.7 for a sputum smear, 0.4 for a cytospin or liquid-based slide.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tilt_sigma_mrad: float = Field(default=0.5, ge=0.0, le=5.0)
    bow_sagitta_um: float = Field(default=8.0, ge=-100.0, le=100.0)
    bow_span_um: float = Field(default=75_000.0, gt=1_000.0, le=200_000.0)
    waviness_rms_um: float = Field(default=1.0, ge=0.0, le=20.0)
    waviness_length_um: float = Field(default=6_000.0, gt=100.0, le=100_000.0)
    topography_rms_um: float | None = Field(default=None, ge=0.0, le=10.0)
    topography_length_um: float = Field(default=300.0, gt=10.0, le=10_000.0)
    centre_x_um: float = 38_000.0
    centre_y_um: float = 13_000.0


class SmoothField:
    """A Gaussian random field with squared-exponential covariance, evaluated anywhere at any order.

    Drawn once as a sum of random plane waves. Source: Rahimi and Recht, "Random Features for Large-Scale
    Kernel Machines", 2007.
    """

    def __init__(self, rms: float, length_um: float, rng: np.random.Generator) -> None:
        self._wave = rng.standard_normal((2, _FEATURES)) / length_um
        self._phase = rng.uniform(0.0, 2.0 * math.pi, _FEATURES)
        self._amplitude = rms * math.sqrt(2.0 / _FEATURES)

    def at(self, x_um: ArrayLike, y_um: ArrayLike) -> NDArray[np.float64]:
        """Values at points; x_um and y_um broadcast together, the result has their common shape."""
        x = np.asarray(x_um, dtype=np.float64)[..., None]
        y = np.asarray(y_um, dtype=np.float64)[..., None]
        values = np.cos(x * self._wave[0] + y * self._wave[1] + self._phase).sum(axis=-1) * self._amplitude
        return np.asarray(values, dtype=np.float64)

    def on_grid(self, x_um: NDArray[np.float64], y_um: NDArray[np.float64]) -> NDArray[np.float32]:
        """Values (len(y_um), len(x_um)) on the grid spanned by two axes, float32; much faster than `at`."""
        along_x = np.outer(self._wave[0], x_um) + self._phase[:, None]
        along_y = np.outer(y_um, self._wave[1])
        left = np.concatenate([np.cos(along_y), -np.sin(along_y)], axis=1).astype(np.float32)
        right = np.concatenate([np.cos(along_x), np.sin(along_x)], axis=0).astype(np.float32)
        return np.asarray(left @ right * np.float32(self._amplitude), dtype=np.float32)


class Surface:
    """Height of the specimen over the reference plane, deterministic by seed.

    settings: see SurfaceSettings. topography_rms_um: used where the settings leave it open.
    """

    def __init__(self, settings: SurfaceSettings, seed: int, topography_rms_um: float = 0.4) -> None:
        rng = np.random.default_rng(np.random.SeedSequence([seed, 0x5F]))
        self._settings = settings
        self._tilt = rng.normal(0.0, settings.tilt_sigma_mrad * 1e-3, 2)
        self._waviness = SmoothField(settings.waviness_rms_um, settings.waviness_length_um, rng)
        rms = topography_rms_um if settings.topography_rms_um is None else settings.topography_rms_um
        self._topography = SmoothField(rms, settings.topography_length_um, rng)

    def height_um(self, x_um: ArrayLike, y_um: ArrayLike) -> NDArray[np.float64]:
        """Heights at stage positions in µm; x_um and y_um broadcast together."""
        return self._base(x_um, y_um) + self._waviness.at(x_um, y_um) + self._topography.at(x_um, y_um)

    def on_grid(self, x_um: NDArray[np.float64], y_um: NDArray[np.float64]) -> NDArray[np.float32]:
        """Heights (len(y_um), len(x_um)) on the grid spanned by two axes, float32."""
        base = self._base(x_um[None, :], y_um[:, None]).astype(np.float32)
        return base + self._waviness.on_grid(x_um, y_um) + self._topography.on_grid(x_um, y_um)

    def _base(self, x_um: ArrayLike, y_um: ArrayLike) -> NDArray[np.float64]:
        """Tilt about the slide's middle, and a parabola along its length that is `sagitta` high over the span."""
        dx = np.asarray(x_um, dtype=np.float64) - self._settings.centre_x_um
        dy = np.asarray(y_um, dtype=np.float64) - self._settings.centre_y_um
        bow = -4.0 * self._settings.bow_sagitta_um * (dx / self._settings.bow_span_um) ** 2
        return np.asarray(self._tilt[0] * dx + self._tilt[1] * dy + bow, dtype=np.float64)
