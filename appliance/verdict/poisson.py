"""Exact Poisson statistics of counts."""

from __future__ import annotations

import math

from scipy.special import gammainc, gammaincinv  # not scipy.stats, which is slow to import

from appliance.verdict.model import CountEstimate


def interval(n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact interval for the mean behind a count of `n` objects.

    n > 0: two-sided. n = 0: from 0 to the one-sided bound, -ln(1 - confidence), which is 3.0 at 95 %.
    Source: Garwood 1936 (quantiles of gamma distributions); for zero, the "rule of three".
    """
    if n < 0:
        msg = f"a count cannot be {n}"
        raise ValueError(msg)
    if n == 0:
        return 0.0, -math.log(1.0 - confidence)
    tail = (1.0 - confidence) / 2.0
    return float(gammaincinv(n, tail)), float(gammaincinv(n + 1, 1.0 - tail))


def probability_of_at_least(n: int, mean: float) -> float:
    """P(N >= n) when N is Poisson with this mean."""
    if n <= 0:
        return 1.0
    if mean <= 0.0:
        return 0.0
    return float(gammainc(n, mean))


def estimate(n: int, area_mm2: float) -> CountEstimate:
    """A count with its 95 % interval, and per mm² (0 where no area was read)."""
    low, high = interval(n)
    return CountEstimate(n=n, low=low, high=high, per_mm2=n / area_mm2 if area_mm2 > 0 else 0.0)
