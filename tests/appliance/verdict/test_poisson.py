"""Poisson intervals and tails against published values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.verdict.poisson import estimate, interval, probability_of_at_least


@pytest.mark.parametrize(
    ("n", "low", "high"),
    # Garwood 1936 / Pearson and Hartley, table 40: exact 95 % limits.
    [
        (1, 0.0253, 5.572),
        (2, 0.2422, 7.225),
        (3, 0.6187, 8.767),
        (5, 1.623, 11.668),
        (10, 4.795, 18.390),
        (20, 12.217, 30.888),
        (50, 37.111, 65.919),
        (100, 81.364, 121.627),
    ],
)
def test_exact_interval_is_the_published_one(n: int, low: float, high: float) -> None:
    assert interval(n) == (pytest.approx(low, abs=6e-4), pytest.approx(high, abs=6e-4))


def test_nothing_seen_has_the_one_sided_bound_of_three() -> None:
    assert interval(0) == (0.0, pytest.approx(2.9957, abs=1e-4))
    assert interval(0, confidence=0.99)[1] == pytest.approx(4.605, abs=1e-3)


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be -1"):
        interval(-1)


@given(st.integers(0, 5000))
def test_bounds_rise_with_the_count_and_hold_it(n: int) -> None:
    low, high = interval(n)
    assert low <= n <= high
    assert interval(n + 1)[0] > low
    assert interval(n + 1)[1] > high


@pytest.mark.parametrize(
    ("n", "mean", "probability"),
    # A background of 2.0 a slide is exceeded by 6 objects with 1.7 %, one of 0.5 by 3 with 1.4 %.
    [(6, 2.0, 0.0166), (3, 0.5, 0.0144), (0, 3.0, 1.0), (1, 0.0, 0.0), (0, 0.0, 1.0), (1, 1.0, 1 - math.exp(-1))],
)
def test_tail(n: int, mean: float, probability: float) -> None:
    assert probability_of_at_least(n, mean) == pytest.approx(probability, abs=1e-4)


def test_estimate_per_area() -> None:
    assert estimate(6, 3.0).per_mm2 == 2.0
    assert estimate(0, 0.0).per_mm2 == 0.0
