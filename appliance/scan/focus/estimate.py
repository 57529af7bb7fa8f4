"""From a few samples of a focus curve to its peak, or to the one sample that is missing. Pure arithmetic.

The curve over a thin stained layer is close to a Lorentz curve once the noise floor is off; its width follows the
depth of field and the depth of the specimen. Height and position are fitted; width and pedestal are only known as
distributions, and every width that explains the samples takes part. Few samples therefore give a large sigma instead
of a confident mistake.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_MODEL_ERROR = (0.02, 0.1)
"""By how much real curves leave the Lorentz shape, as a share of their peak: at the peak, and more on the way down."""
_COMPARED_ERROR = (0.006, 0.1)
"""The same of frames that are compared: they lie near the peak, and the slide's own width is known. Measured on frames
of known height of three twin slides, on which misses then are half to two thirds of what is claimed."""
_WIDTH_SPREAD = 0.35
_PEDESTALS = np.array([0.0, 0.04, 0.1, 0.2])
_POSITIONS = 241
_WIDTHS = 13
_LONGEST_STRIDE = 2.5
_MISFIT = 4.0
"""Squared deviations per sample, in standard deviations, that no focus curve explains: something else has changed."""
_HEIGHTS, _DEPTH = 1.3, 0.01
"""What frames cannot know: the errors of their heights, which are multiplied by this, as the steepness of the curve
changes along them; and the depth of the specimen, as a share of the width. Measured on frames of known height of two
twin slides, with plain and with doubled errors: misses are then 0.7 to 1.2 of what is claimed."""
_SURPRISE = (0.1, 2.5)
"""How often expected heights are off by more than they claim, as where the slide has a bump; and how much wider they
scatter then."""
_MARGIN = 0.2
"""How far beyond the outermost samples the peak is looked for at least, as a share of the width. A nearer end would
push the answer towards the samples: a pair would then be thought to surround what lies beside it."""
_SAME, _PAIR = 0.01, 2
"""Share by which samples at more than two heights differ at least; a device that does not move shows the same at all.
Two may be alike on either side of the peak."""
_OUTSIDE = 0.3
"""How far beyond two samples their peak may lie, as a share of their distance, errors of height included; further out
they only tell the side."""
_TRUST = {"edge": 0.3, "two peaks": 0.5, "inconsistent": 0.2, "bracketed": 1.0, "template": 1.0}
_DIP = 0.12
"""How deep a valley between two maxima must be, as a share of the lower one, to count as two peaks."""


@dataclass(frozen=True)
class Sample:
    """Sharpness `value` (noise floor already off, any unit) at height z_um; sigma: its noise, same unit."""

    z_um: float
    value: float
    sigma: float


@dataclass(frozen=True)
class Peak:
    """Where the curve is highest.

    sigma_um: standard deviation of z_um. confidence: 0 to 1. reason: "bracketed", "template" (from two samples and what
    was expected), "edge", "flat", "two peaks", or "inconsistent" where the samples do not lie on any focus curve.
    width_um: full width at half height, posterior mean.
    """

    z_um: float
    sigma_um: float
    confidence: float
    reason: str
    width_um: float


@dataclass(frozen=True)
class Width:
    """Full width at half height of the focus curves of a slide. spread: standard deviation of its logarithm."""

    um: float
    spread: float


def usual_width(seen_um: Sequence[float], before_um: float) -> Width:
    """The width of a slide's curves from those of a few fields. before_um: what is expected with none of them."""
    if not seen_um:
        return Width(before_um, _WIDTH_SPREAD)
    logs = np.log(np.asarray(seen_um))
    squares = _WIDTH_SPREAD**2 + float(((logs - logs.mean()) ** 2).sum())
    return Width(float(np.exp(logs.mean())), math.sqrt(squares / (len(seen_um) + 1)))


def missing_sample(
    samples: Sequence[Sample], step_um: float, low_um: float, high_um: float, expected_um: float | None = None
) -> float | None:
    """Height of the next exposure that the curve needs, or None when its maximum has lower samples on both sides.

    A maximum at the edge asks for one more beyond it: one step away, or further, up to two and a half steps, where the
    peak is expected there; never outside low_um to high_um. None also when there is no room left.
    """
    ordered = sorted(samples, key=lambda s: s.z_um)
    best = max(range(len(ordered)), key=lambda i: ordered[i].value)
    if 0 < best < len(ordered) - 1:
        return None
    upward = best > 0
    edge_um = ordered[best].z_um
    away_um = 0.0 if expected_um is None else (expected_um - edge_um) * (1 if upward else -1)
    stride_um = min(max(away_um, step_um), _LONGEST_STRIDE * step_um)
    if upward:
        z_um = min(edge_um + stride_um, high_um)
        return z_um if z_um > edge_um + step_um / 2 else None
    z_um = max(edge_um - stride_um, low_um)
    return z_um if z_um < edge_um - step_um / 2 else None


def fit_peak(samples: Sequence[Sample], width_um: float, height_um: float = 0.0) -> Peak:
    """The peak of a curve of at least three samples; width_um: what its full width at half height usually is.

    height_um: standard deviation of the heights reached around those asked for; the peak is seen from where the highest
    sample was really taken.
    """
    ordered = sorted(samples, key=lambda s: s.z_um)
    z = np.array([s.z_um for s in ordered])
    value = np.array([s.value for s in ordered])
    noise = np.array([s.sigma for s in ordered])
    best = int(value.argmax())
    top = float(value[best])
    near, far = _MODEL_ERROR
    low = int(value.argmin())
    if top <= 0 or top - float(value[low]) < 4 * math.hypot(noise[best], noise[low]) + near * top:
        return Peak(float(z[best]), math.inf, 0.0, "flat", width_um)
    error = near + far * (1 - value / top)
    usual = Width(width_um, _WIDTH_SPREAD)
    position, sigma, width, misfit = _posterior(z, value / top, np.hypot(noise / top, error), usual, height_um)
    reason = "bracketed"
    if best in (0, len(z) - 1):
        reason = "edge"
    elif _two_peaks(value, noise):
        reason = "two peaks"
    elif misfit > _MISFIT * len(z):
        reason = "inconsistent"
    return Peak(position, sigma, _TRUST[reason] * math.exp(-sigma / (0.5 * width_um)), reason, width)


def template_peak(samples: Sequence[Sample], width: Width, expected: Peak | None, height_um: float = 0.0) -> Peak:
    """The peak from two or more samples near it, on a curve of known width.

    expected: what else says where it is, if anything does. height_um: as in `fit_peak`. Two frames of one field show
    the same things, so the ratio of their sharpness depends on height alone. Source: domain reference 3.3 ("template").
    The reason is "edge" where the peak lies outside what the samples tell of, and "flat" where they do not differ.
    """
    ordered = sorted(samples, key=lambda s: s.z_um)
    z = np.array([s.z_um for s in ordered])
    value = np.array([s.value for s in ordered])
    noise = np.array([s.sigma for s in ordered])
    best, low = int(value.argmax()), int(value.argmin())
    top = float(value[best])
    alike = top - float(value[low]) < 4 * math.hypot(noise[best], noise[low]) + _SAME * top
    if top <= 0 or (alike and len(ordered) > _PAIR):
        return Peak(float(z[best]), math.inf, 0.0, "flat", width.um)
    near, far = _COMPARED_ERROR
    error = np.hypot(noise / top, near + far * (1 - value / top))
    position, sigma, wide, misfit = _posterior(z, value / top, error, width, height_um, expected)
    beyond_um = max(float(z[0]) - position, position - float(z[-1]))
    reason = "template"
    if misfit > _MISFIT * len(z):
        reason = "inconsistent"
    elif beyond_um + height_um > _OUTSIDE * float(z[-1] - z[0]):
        reason = "edge"
    sigma = math.hypot(sigma, _DEPTH * width.um)
    return Peak(position, sigma, _TRUST[reason] * math.exp(-sigma / (0.5 * width.um)), reason, wide)


def _posterior(
    z: Floats, value: Floats, noise: Floats, usual: Width, height_um: float, expected: Peak | None = None
) -> tuple[float, float, float, float]:
    """Mean and deviation of the position, mean width, and the misfit of the best curve, prior on its width included.

    By summing over a grid of positions, widths and pedestals. Positions count from where the highest sample was really
    taken. Seen from there the heights of all others err together by its error, and each by its own, and their values by
    as much as the curve is steep. Source: errors in variables, first order; Press et al., "Numerical Recipes" (2007),
    15.3; inverse and determinant of the covariance by Sherman and Morrison, 2.7.
    """
    spacing = float(np.diff(z).max())
    margin = max(spacing, _MARGIN * usual.um)
    position = np.linspace(z[0] - margin, z[-1] + margin, _POSITIONS)[:, None, None, None]
    stretch = np.linspace(-2.5, 2.5, _WIDTHS) * usual.spread
    half = (0.5 * usual.um * np.exp(stretch))[None, :, None, None]
    pedestal = _PEDESTALS[None, None, :, None]
    away = (z - position) / half
    falling = (1 - pedestal) / (1 + away**2)
    curve = pedestal + falling
    steep = 2 * falling * away / (1 + away**2) / half
    together = _HEIGHTS * height_um * steep * (np.arange(len(z)) != value.argmax())
    weight = 1 / (noise**2 + together**2)
    shared = 1 / (1 + (together**2 * weight).sum(-1))

    def agree(one: Floats, other: Floats) -> Floats:
        """Product of two rows of values under the inverse of their covariance."""
        apart = (one * other * weight).sum(-1)
        common = (one * together * weight).sum(-1) * (other * together * weight).sum(-1)
        return np.asarray(apart - common * shared)

    height = agree(curve, value) / agree(curve, curve)
    rest = value - height[..., None] * curve
    unlikely = agree(rest, rest) + (stretch[None, :, None] / usual.spread) ** 2
    best = float(unlikely.min())
    log_posterior = 0.5 * (np.log(weight).sum(-1) + np.log(shared) - unlikely)
    if expected is not None:
        log_posterior = log_posterior + _log_expected((position[..., 0] - expected.z_um) / expected.sigma_um)
    posterior = np.exp(log_posterior - log_posterior.max())
    posterior /= posterior.sum()
    along = posterior.sum(axis=(1, 2))
    places = position[:, 0, 0, 0]
    mean = float((along * places).sum())
    sigma = math.sqrt(float((along * (places - mean) ** 2).sum()) + (spacing / 100) ** 2)
    width = float((posterior.sum(axis=(0, 2)) * 2 * half[0, :, 0, 0]).sum())
    return mean, sigma, width, best


def _log_expected(off: Floats) -> Floats:
    """Logarithm of the prior, so many standard deviations from what was expected: now and then that is a bad guess."""
    share, wider = _SURPRISE
    return np.asarray(np.logaddexp(-0.5 * off**2, math.log(share / wider) - 0.5 * (off / wider) ** 2))


def _two_peaks(value: Floats, noise: Floats) -> bool:
    """Whether a valley, deeper than noise and shape allow, lies between two maxima of the samples."""
    for i in range(1, len(value) - 1):
        left, right = int(value[:i].argmax()), i + 1 + int(value[i + 1 :].argmax())
        lower = min(value[left], value[right])
        if lower - value[i] > _DIP * lower + 3 * math.hypot(noise[i], noise[left], noise[right]):
            return True
    return False
