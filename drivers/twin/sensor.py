"""From light to grey levels: lamp, vignetting, dust, photon and read noise, hot pixels, eight bits."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from drivers.twin.settings import CameraModel

Planes = NDArray[np.float32]

_FULL_SCALE = 255.0
_SITES = ((0, 0, 0), (1, 0, 1), (1, 1, 0), (2, 1, 1))
"""Colour, row and column of the four Bayer sites, in the order of `imaging.absorbed`."""

_POOL = 1 << 22
_HOUR_S = 3600.0


@lru_cache(maxsize=1)
def _normals() -> NDArray[np.float32]:
    """Standard normal numbers, drawn once; frames take them from random places."""
    return np.random.default_rng(0x5EED).standard_normal(_POOL, dtype=np.float32)


def level_at(model: CameraModel, exposure_ms: float, gain_db: float) -> float:
    """Grey levels over black of a clear, uncoloured place in the middle of the field."""
    gain = 10 ** (gain_db / 20)
    return model.clear_level * _FULL_SCALE * exposure_ms / model.nominal_exposure_ms * gain


def noise_law(model: CameraModel, gain_db: float) -> tuple[float, float]:
    """(a, b) of variance = a · signal + b, in grey levels squared, before rounding to whole levels.

    Photon noise: one grey level is full well / 255 electrons at 0 dB; read noise is added. Source: EMVA 1288, 2.2.
    """
    electrons_per_level = model.full_well_electrons / _FULL_SCALE / 10 ** (gain_db / 20)
    return 1 / electrons_per_level, (model.read_noise_electrons / electrons_per_level) ** 2


class Sensor:
    """One camera with its own vignetting, dust and hot pixels, on one slide's lamp setting.

    illumination: brightness of a clear place in R, G, B relative to the brightest, before the lamp's colour cast.
    """

    def __init__(
        self, model: CameraModel, seed: int, illumination: tuple[float, float, float] = (1.0, 1.0, 1.0)
    ) -> None:
        self.model = model
        rng = np.random.default_rng([seed, 0xCA])
        self._flat = self._flat_field(rng, illumination)
        count = model.hot_pixels
        self._hot_rows = rng.integers(0, model.height_px, count)
        self._hot_cols = rng.integers(0, model.width_px, count)
        self._hot_levels = rng.gamma(2.0, 12.0, count)

    def _flat_field(self, rng: np.random.Generator, illumination: tuple[float, float, float]) -> Planes:
        """Relative brightness at every pixel of a clear slide, (4, height/2, width/2)."""
        model = self.model
        rows, cols = model.height_px, model.width_px
        y = (np.arange(rows) - (rows - 1) / 2)[:, None]
        x = (np.arange(cols) - (cols - 1) / 2)[None, :]
        flat = 1 - model.vignetting * (x**2 + y**2) / (x[0, -1] ** 2 + y[-1, 0] ** 2)
        for _ in range(model.sensor_dust):
            at_y, at_x = rng.uniform(-rows / 2, rows / 2), rng.uniform(-cols / 2, cols / 2)
            radius, depth = rng.uniform(4, 18), rng.uniform(0.02, 0.10)
            outside = np.minimum((np.hypot(y - at_y, x - at_x) - radius) / 1.5, 30.0)
            flat *= 1 - depth / (1 + np.exp(outside))
        brightness = np.array(model.colour_cast) * np.array(illumination)
        brightness = brightness / brightness.max()
        planes = [flat[row::2, col::2] * brightness[colour] for colour, row, col in _SITES]
        return np.stack(planes).astype(np.float32)

    def lamp(self, t_s: float, rng: np.random.Generator, *, on: bool = True) -> float:
        """Relative brightness of the lamp `t_s` seconds after the start: slow drift, and flicker per exposure."""
        if not on:
            return 0.0
        drift = self.model.lamp_drift_per_hour * t_s / _HOUR_S
        return max(0.0, (1 - drift) * (1 + self.model.flicker * float(rng.standard_normal())))

    def read(
        self, absorbed: Planes, exposure_ms: float, gain_db: float, lamp: float, rng: np.random.Generator
    ) -> NDArray[np.uint8]:
        """One frame, uint8 Bayer RGGB (height, width).

        absorbed: float32 (4, height/2, width/2), as `imaging.absorbed` gives it; overwritten. Photon noise is taken
        as normal, which holds from some twenty electrons on. Levels are cut off at 255.
        """
        model = self.model
        bayer = np.empty((model.height_px, model.width_px), np.uint8)
        level = level_at(model, exposure_ms, gain_db) * lamp
        slope, floor = noise_law(model, gain_db)
        normals = _normals()
        for plane, (_, row, col), flat in zip(absorbed, _SITES, self._flat, strict=True):
            signal = np.subtract(np.float32(1), plane, out=plane)
            np.maximum(signal, np.float32(0), out=signal)
            cv2.multiply(signal, flat, dst=signal, scale=level)
            spread = cv2.sqrt(signal * np.float32(slope) + np.float32(floor))
            start = int(rng.integers(0, _POOL - spread.size))
            np.multiply(spread, normals[start : start + spread.size].reshape(spread.shape), out=spread)
            signal += np.float32(model.black_level)
            bayer[row::2, col::2] = cv2.add(signal, spread, dtype=cv2.CV_8U)
        self._add_hot_pixels(bayer, exposure_ms / model.nominal_exposure_ms * 10 ** (gain_db / 20))
        return bayer

    def _add_hot_pixels(self, bayer: NDArray[np.uint8], scale: float) -> None:
        added = np.rint(bayer[self._hot_rows, self._hot_cols] + self._hot_levels * scale)
        bayer[self._hot_rows, self._hot_cols] = np.minimum(added, _FULL_SCALE).astype(np.uint8)
