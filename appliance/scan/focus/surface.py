"""The focus surface: where the specimen will be in focus at a place not yet visited, and how sure that is.

A Gaussian process over place and time: a plane, with priors on its height and tilt; relief that neighbours share, broad
and fine; a drift, steady and wandering. How strong the relief is, is learned from the observations. Works from none on:
then it says the reference height, and how little it knows. Source: Rasmussen and Williams, "Gaussian Processes for
Machine Learning" (2006): prediction 2.2, linear terms 2.7, marginal likelihood 5.4.1, leave-one-out 5.4.2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

Floats = NDArray[np.float64]

_TILT_SIGMA = 0.75e-3
"""Prior on the tilt, in radians per axis. Source: half as much again as the slide tilt of domain reference 4.4."""
_RATE_SIGMA_UM_PER_S = 0.3 / 60
"""Prior on the steady drift: warming up moves focus by a third of a µm a minute. Source: domain reference 4.4."""
_WANDER_UM2_PER_S = 0.05**2 / 60
"""Variance by which focus wanders. Source: domain reference 4.4."""
_BROAD_UM, _FINE_UM = 2_500.0, 300.0
"""Distances over which relief is alike: of the slide, and of the smear."""
_USUAL = (1.0, 0.1)
"""Variance of the broad and of the fine relief until there are enough observations to tell, µm²."""
_BROAD, _FINE = (0.05, 0.2, 1.0, 4.0, 16.0), (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""What they are chosen from."""
_SPREAD = 1.5
"""Prior on their logarithms."""
_NEIGHBOURS = 96
_ROOM = 256
_LEARN_FROM, _LEARN_EVERY, _LEARN_MOST = 12, 16, 120
_OUTLIER = 3.0
_LOOKS_FOR_OUTLIERS = 3
_JITTER_UM2 = 1e-6
_HEIGHT, _NOISE, _TIME = 2, 3, 4


@dataclass(frozen=True)
class Observation:
    """Best focus found at a place, at_s seconds by any steady clock; sigma_um: its own estimated error."""

    x_um: float
    y_um: float
    z_um: float
    sigma_um: float
    at_s: float = 0.0


@dataclass(frozen=True)
class Prediction:
    """Expected best focus at a place, and its standard deviation."""

    z_um: float
    sigma_um: float


class FocusSurface:
    """Prior height and its uncertainty, then whatever is observed. Not thread-safe."""

    def __init__(self, reference_z_um: float, reference_sigma_um: float) -> None:
        self._reference = Prediction(reference_z_um, reference_sigma_um)
        self._kept: Floats = np.empty((5, _ROOM))
        self._seen: Floats = self._kept[:, :0].T
        self._relief = _USUAL
        self._stretch = 1.0
        self._learn_at = _LEARN_FROM

    def add(self, observations: Iterable[Observation]) -> None:
        """Learn from accepted fields."""
        for observation in observations:
            self._append(observation)
        if len(self._seen) >= self._learn_at:
            self._learn()
            self._learn_at = len(self._seen) + _LEARN_EVERY

    def _append(self, observation: Observation) -> None:
        """Without copying what is there, but for each doubling of it."""
        count = len(self._seen)
        if count == self._kept.shape[1]:
            self._kept = np.concatenate([self._kept, np.empty_like(self._kept)], axis=1)
        self._kept[:, count] = astuple(observation)
        self._seen = self._kept[:, : count + 1].T

    def predict(self, x_um: float, y_um: float, at_s: float = 0.0) -> Prediction:
        """Best focus expected at a place and time, not before the last observation."""
        if not len(self._seen):
            return self._reference
        near = self._nearest(x_um, y_um)
        origin = near[:, :2].mean(axis=0)
        here = np.array([[x_um, y_um, 0.0, 0.0, at_s]])
        off, precision = self._solved(near, origin, at_s)
        towards = self._covariance(here, near, origin, at_s)[0]
        own = float(self._covariance(here, here, origin, at_s)[0, 0])
        variance = max(own - float(towards @ precision @ towards), _JITTER_UM2)
        height = self._reference.z_um + float(towards @ precision @ off)
        return Prediction(height, math.sqrt(self._stretch * variance))

    def _nearest(self, x_um: float, y_um: float) -> Floats:
        if len(self._seen) <= _NEIGHBOURS:
            return self._seen
        squared = (self._seen[:, 0] - x_um) ** 2 + (self._seen[:, 1] - y_um) ** 2
        return self._seen[np.argpartition(squared, _NEIGHBOURS)[:_NEIGHBOURS]]

    def _solved(self, seen: Floats, origin: Floats, now_s: float) -> tuple[Floats, Floats]:
        """Heights over the reference, and their precision matrix, in which outliers count little."""
        off = seen[:, _HEIGHT] - self._reference.z_um
        shared = self._covariance(seen, seen, origin, now_s)
        noise = seen[:, _NOISE] ** 2 + _JITTER_UM2
        for _ in range(_LOOKS_FOR_OUTLIERS):
            precision = np.linalg.inv(shared + np.diag(noise))
            score = np.abs(precision @ off) / np.sqrt(np.diag(precision))
            if score.max() <= _OUTLIER:
                break
            # What its neighbours, without it, would have said is further off than chance allows.
            noise = noise + np.where(score > _OUTLIER, (score / _OUTLIER) ** 2 / np.diag(precision), 0.0)
        return off, np.asarray(precision, dtype=np.float64)

    def _covariance(self, some: Floats, others: Floats, origin: Floats, now_s: float) -> Floats:
        """(n, m) prior covariance of heights, as they were when observed, around what they are now."""
        broad, fine = self._relief
        apart = _apart(some, others)
        relief = broad * np.exp(-apart / _BROAD_UM) + fine * np.exp(-0.5 * (apart / _FINE_UM) ** 2)
        return np.asarray(self._steady(some, others, origin, now_s) + relief)

    def _steady(self, some: Floats, others: Floats, origin: Floats, now_s: float) -> Floats:
        """All but the relief."""
        lever, other = some[:, :2] - origin, others[:, :2] - origin
        age, other_age = np.maximum(now_s - some[:, _TIME], 0.0), np.maximum(now_s - others[:, _TIME], 0.0)
        plane = self._reference.sigma_um**2 + _TILT_SIGMA**2 * (lever @ other.T)
        drift = _RATE_SIGMA_UM_PER_S**2 * np.outer(age, other_age)
        return np.asarray(plane + drift + _WANDER_UM2_PER_S * np.minimum(age[:, None], other_age[None, :]))

    def _learn(self) -> None:
        """Choose the relief under which the last observations are likeliest, and see how honest it is with each."""
        seen = self._seen[-_LEARN_MOST:]
        origin, now_s = seen[:, :2].mean(axis=0), float(seen[-1, _TIME])
        off, precision = self._solved(seen, origin, now_s)
        left_out = (precision @ off) / np.diag(precision)
        usual = _OUTLIER * 1.4826 * float(np.median(np.abs(left_out)))
        seen, off = seen[np.abs(left_out) <= usual], off[np.abs(left_out) <= usual]
        apart = _apart(seen, seen)
        known = self._steady(seen, seen, origin, now_s) + np.diag(seen[:, _NOISE] ** 2 + _JITTER_UM2)
        slide, smear = np.exp(-apart / _BROAD_UM), np.exp(-0.5 * (apart / _FINE_UM) ** 2)
        self._relief = max(
            product(_BROAD, _FINE),
            key=lambda relief: _log_likelihood(known + relief[0] * slide + relief[1] * smear, off) + _prior(relief),
        )
        precision = np.asarray(np.linalg.inv(known + self._relief[0] * slide + self._relief[1] * smear))
        squared = (precision @ off) ** 2 / np.diag(precision)
        self._stretch = max(1.0, float(squared.mean()))


def _apart(some: Floats, others: Floats) -> Floats:
    """(n, m) distances."""
    across, along = some[:, None, 0] - others[None, :, 0], some[:, None, 1] - others[None, :, 1]
    return np.sqrt(across * across + along * along)


def _prior(relief: tuple[float, float]) -> float:
    return -0.5 * sum((math.log(value / usual) / _SPREAD) ** 2 for value, usual in zip(relief, _USUAL, strict=True))


def _log_likelihood(covariance: Floats, off: Floats) -> float:
    factor = np.linalg.cholesky(covariance)
    white = solve_triangular(factor, off, lower=True, check_finite=False)
    return float(-0.5 * white @ white - np.log(np.diag(factor)).sum())
