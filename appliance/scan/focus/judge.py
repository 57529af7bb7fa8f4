"""Judge one picture: how far from best focus, to which side, and how sure that is.

What the axial curve of the device says of the frame, and what the focus surface expected, become one posterior over
heights. Slides differ in stain and in the size of what lies on them; that shifts the features of all their frames
alike. The shift is learned from frames whose height is known, by a Kalman filter, starting from what slides usually
differ by. A frame that looks like none the curve was learned from tells nothing, and then the prior stands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from appliance.scan.focus.axial import AxialCurve
from appliance.scan.focus.bands import BANDS, FEATURES, Floats

_RED, _BLUE, _SLOPE, _SIZE, _ELSE = 0.25, 0.5, 0.15, 0.2, 0.05
"""Standard deviations of the shift, in logarithms of power: all bands of red, or of blue, over green alike; low against
high bands of either; the same of green's own shape; each feature alone. Measured between 40 twin slides: 0.12 to 0.24,
0.28 to 0.46, 0.1 to 0.2 within a slide's shape; three directions hold nearly all of it."""
UNFAMILIAR = 6.0
"""Squared distance per feature from which a frame tells nothing."""


@dataclass(frozen=True)
class Judgement:
    """Where a frame was taken. offset_um: its height over best focus, posterior mean; sigma_um: its deviation.

    within: probability that it lies within the tolerance asked for. familiar: whether the frame itself told anything.
    """

    offset_um: float
    sigma_um: float
    within: float
    familiar: bool


class SlideJudge:
    """The axial curve of a device on one slide. Not thread-safe."""

    def __init__(self, curve: AxialCurve) -> None:
        self.curve = curve
        self._shift: Floats = np.zeros(FEATURES)
        self._doubt = _between_slides()
        self._refresh()

    def learn(self, features: Floats, offset_um: float, sigma_um: float) -> None:
        """One frame of a field whose height over best focus is known, give or take sigma_um."""
        mean, slope, own = self.curve.at(offset_um)
        noise = own + sigma_um**2 * np.outer(slope, slope)
        gain = np.linalg.solve(self._doubt + noise, self._doubt).T
        self._shift = self._shift + gain @ (features - mean - self._shift)
        kept = np.eye(FEATURES) - gain
        self._doubt = kept @ self._doubt @ kept.T + gain @ noise @ gain.T
        self._refresh()

    def judge(self, features: Floats, prior_um: float, prior_sigma_um: float, tolerance_um: float) -> Judgement:
        """A frame expected prior_um over best focus, give or take prior_sigma_um, in the light of its features."""
        offset = self.curve.offset_um
        white = np.einsum("mij,mj->mi", self._whiten, features - self._shift - self.curve.mean)
        told = -0.5 * ((white**2).sum(axis=1) + self._log_det) / self.curve.temper
        nothing = -0.5 * (UNFAMILIAR * FEATURES + float(self._log_det.min())) / self.curve.temper
        log_posterior = np.logaddexp(told, nothing) - 0.5 * ((offset - prior_um) / prior_sigma_um) ** 2
        posterior = np.exp(log_posterior - log_posterior.max())
        posterior /= posterior.sum()
        mean = float(posterior @ offset)
        sigma = math.sqrt(float(posterior @ (offset - mean) ** 2) + self.curve.step_um**2 / 12)
        cells = np.clip((tolerance_um - np.abs(offset)) / self.curve.step_um + 0.5, 0.0, 1.0)
        within = float(posterior @ cells)
        return Judgement(mean, sigma, within, familiar=bool(told.max() > nothing))

    def _refresh(self) -> None:
        factor = np.linalg.cholesky(self.curve.covariance + self._doubt)
        self._whiten = np.linalg.inv(factor)
        self._log_det = 2 * np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1)


def _between_slides() -> Floats:
    """Covariance of what slides differ by."""
    ways = [_ELSE * way for way in np.eye(FEATURES)]
    ramp = np.linspace(-1.0, 1.0, BANDS)
    for first, way in (
        (0, _RED * np.ones(BANDS)),
        (0, _SLOPE * ramp),
        (BANDS, _BLUE * np.ones(BANDS)),
        (BANDS, _SLOPE * ramp),
        (2 * BANDS, _SIZE * np.ones(BANDS - 1)),
        (2 * BANDS, _SLOPE * ramp[1:]),
    ):
        ways.append(np.concatenate([np.zeros(first), way, np.zeros(FEATURES - first - way.size)]))
    return np.asarray(sum(np.outer(way, way) for way in ways), dtype=np.float64)
