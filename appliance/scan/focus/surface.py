"""The focus surface: where the specimen will be in focus at a place not yet visited, and how sure that is.

A plane with a prior on its tilt, fitted so that outliers count little, and over it what the neighbours have in common
(kriging of the nearest residuals). Works from no observation on: then it says the reference height, and how little it
knows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_TILT_SIGMA = 0.75e-3
"""Prior on the tilt, in radians per axis. Source: half as much again as the slide tilt of domain reference 4.4."""
_RELIEF_UM = 1.0
"""What slides usually deviate from a plane (waviness), until there are enough observations to tell."""
_LENGTH_UM = 2_500.0
"""Distance over which deviations from the plane are alike."""
_NEIGHBOURS = 24
_ENOUGH = 12
_HUBER = 1.345
_ITERATIONS = 8


@dataclass(frozen=True)
class Observation:
    """Best focus found at a place; sigma_um: its own estimated error."""

    x_um: float
    y_um: float
    z_um: float
    sigma_um: float


@dataclass(frozen=True)
class Prediction:
    """Expected best focus at a place, and its standard deviation."""

    z_um: float
    sigma_um: float


@dataclass(frozen=True)
class _Plane:
    origin: Floats
    coefficients: Floats
    covariance: Floats

    def at(self, x_um: float, y_um: float) -> tuple[float, float]:
        """Height and variance."""
        row = np.array([1.0, x_um - self.origin[0], y_um - self.origin[1]])
        return float(row @ self.coefficients), float(row @ self.covariance @ row)


class FocusSurface:
    """Prior height and its uncertainty, then whatever is observed. Not thread-safe."""

    def __init__(self, reference_z_um: float, reference_sigma_um: float) -> None:
        self._prior = (reference_z_um, reference_sigma_um)
        self._seen: list[Observation] = []
        self._plane: _Plane | None = None
        self._residual: Floats = np.empty(0)
        self._relief = (_RELIEF_UM**2, 0.0)

    @property
    def observations(self) -> tuple[Observation, ...]:
        """All that has been added, in order."""
        return tuple(self._seen)

    def add(self, observations: Iterable[Observation]) -> None:
        """Learn from accepted fields."""
        self._seen.extend(observations)
        self._plane = None

    def tilt(self) -> tuple[float, float]:
        """Slope along x and y, µm per µm."""
        self._fit()
        return (float(self._plane.coefficients[1]), float(self._plane.coefficients[2])) if self._plane else (0.0, 0.0)

    def residuals_um(self) -> Floats:
        """Observed minus plane, for each observation."""
        self._fit()
        return np.array(self._residual)

    def predict(self, x_um: float, y_um: float) -> Prediction:
        """Best focus expected at a place."""
        if not self._seen:
            return Prediction(*self._prior)
        self._fit()
        if self._plane is None:
            return Prediction(*self._prior)
        height, variance = self._plane.at(x_um, y_um)
        local, spread = self._local(x_um, y_um)
        return Prediction(height + local, math.sqrt(variance + spread))

    def _fit(self) -> None:
        if self._plane is not None or not self._seen:
            return
        data = np.array([(o.x_um, o.y_um, o.z_um, o.sigma_um) for o in self._seen])
        self._plane = _robust_plane(data, *self._prior)
        shifted = data[:, :2] - self._plane.origin
        self._residual = data[:, 2] - np.column_stack([np.ones(len(data)), shifted]) @ self._plane.coefficients
        self._relief = _relief(data, self._residual)

    def _local(self, x_um: float, y_um: float) -> tuple[float, float]:
        """Mean and variance of the deviation from the plane, from the nearest observations."""
        sill, nugget = self._relief
        seen = np.array([(o.x_um, o.y_um, o.sigma_um) for o in self._seen])
        distance = np.hypot(seen[:, 0] - x_um, seen[:, 1] - y_um)
        near = np.argsort(distance)[:_NEIGHBOURS]
        points = seen[near]
        between = np.hypot(points[:, None, 0] - points[None, :, 0], points[:, None, 1] - points[None, :, 1])
        covariance = sill * np.exp(-between / _LENGTH_UM) + np.diag(nugget + points[:, 2] ** 2 + 1e-6)
        towards = sill * np.exp(-distance[near] / _LENGTH_UM)
        residual = np.clip(self._residual[near], -4 * math.sqrt(sill + nugget), 4 * math.sqrt(sill + nugget))
        weights = np.linalg.solve(covariance, towards)
        return float(weights @ residual), max(float(sill + nugget - weights @ towards), nugget)


def _robust_plane(data: Floats, reference_z_um: float, reference_sigma_um: float) -> _Plane:
    """Huber-weighted plane with priors on height and tilt. data: rows of x, y, z, sigma.

    Source: Huber, "Robust Statistics" (1981), iteratively reweighted least squares.
    """
    origin = np.median(data[:, :2], axis=0)
    design = np.column_stack([np.ones(len(data)), data[:, :2] - origin])
    precision = np.diag([1 / reference_sigma_um**2, 1 / _TILT_SIGMA**2, 1 / _TILT_SIGMA**2])
    pull = precision @ np.array([reference_z_um, 0.0, 0.0])
    noise = np.hypot(data[:, 3], _RELIEF_UM)
    weight = np.ones(len(data))
    for _ in range(_ITERATIONS):
        scaled = design * (weight / noise**2)[:, None]
        covariance = np.linalg.inv(design.T @ scaled + precision)
        coefficients = covariance @ (scaled.T @ data[:, 2] + pull)
        off = np.abs(data[:, 2] - design @ coefficients) / noise
        weight = np.minimum(1.0, _HUBER / np.maximum(off, 1e-9))
    return _Plane(origin, coefficients, covariance)


def _relief(data: Floats, residual: Floats) -> tuple[float, float]:
    """Variance of what neighbours share, and of what each place has to itself, in µm².

    The second is what two observations in succession, which are neighbours, still differ by.
    """
    if len(residual) < _ENOUGH:
        return _RELIEF_UM**2, (0.3 * _RELIEF_UM) ** 2
    total = (1.4826 * float(np.median(np.abs(residual - np.median(residual))))) ** 2
    apart = np.hypot(np.diff(data[:, 0]), np.diff(data[:, 1]))
    close = apart < _LENGTH_UM / 2
    if close.sum() < _ENOUGH // 2:
        return max(total, 0.05 * _RELIEF_UM**2), (0.3 * _RELIEF_UM) ** 2
    step = np.diff(residual)[close]
    differing = 0.5 * (1.4826 * float(np.median(np.abs(step)))) ** 2
    shared = max(total - differing, 0.05 * _RELIEF_UM**2)
    expected = shared * (1 - math.exp(-float(np.median(apart[close])) / _LENGTH_UM))
    return shared, max(differing - expected, 0.1 * differing)
