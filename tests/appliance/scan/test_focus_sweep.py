"""The coarse sweep: finds a wide peak anywhere in its range, stops when it has, and always ends."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from appliance.scan.focus.estimate import Sample
from appliance.scan.focus.sweep import SweepRange, next_height, significant

WHERE = SweepRange(middle_um=0, low_um=-20, high_um=20, lowest_um=-60, highest_um=60, step_um=8)


def swept(peak_um: float, width_um: float = 24.0, height: float = 1.0, where: SweepRange = WHERE) -> list[Sample]:
    samples: list[Sample] = []
    while (z_um := next_height(samples, where)) is not None:
        assert where.lowest_um <= z_um <= where.highest_um
        assert len(samples) < 100
        samples.append(Sample(z_um, height / (1 + (2 * (z_um - peak_um) / width_um) ** 2), 1e-4))
    return samples


@given(peak=st.floats(-58, 58), width=st.floats(18, 40))
def test_any_peak_in_range_is_bracketed_or_at_the_end_of_the_range(peak: float, width: float) -> None:
    samples = swept(peak, width)
    best = max(samples, key=lambda s: s.value)
    assert abs(best.z_um - peak) <= WHERE.step_um
    heights = sorted(s.z_um for s in samples)
    inner = heights[0] < best.z_um < heights[-1]
    assert inner or abs(best.z_um) > WHERE.highest_um - WHERE.step_um


def test_it_starts_in_the_middle_and_ends_when_the_peak_is_passed() -> None:
    assert [s.z_um for s in swept(1.0)] == [0, 8, -8]
    assert [s.z_um for s in swept(-9.0)] == [0, 8, -8, -16]
    assert [s.z_um for s in swept(20.0)] == [0, 8, 16, 24]


def test_a_peak_above_or_below_extends_it() -> None:
    assert max(s.z_um for s in swept(45.0)) > 45
    assert min(s.z_um for s in swept(-45.0)) < -45


def test_what_is_faint_is_looked_for_in_the_range_before_beyond_it() -> None:
    heights = [s.z_um for s in swept(0.0, height=0.0)]
    inside = [abs(z) <= WHERE.high_um for z in heights]
    assert inside == sorted(inside, reverse=True)


def test_nothing_there_is_looked_for_everywhere_once() -> None:
    heights = [s.z_um for s in swept(0.0, height=0.0)]
    assert len(heights) == len(set(heights))
    assert min(heights) <= WHERE.lowest_um + WHERE.step_um
    assert max(heights) >= WHERE.highest_um - WHERE.step_um
    assert not significant(swept(0.0, height=0.0))


def test_a_bounded_sweep_stays_inside() -> None:
    assert [s.z_um for s in swept(45.0, where=SweepRange(0, -10, 10, -10, 10, 5))] == [0, 5, 10]


@given(st.lists(st.floats(0, 1), min_size=40, max_size=40), st.floats(0.5, 20))
def test_it_ends_whatever_the_slide_shows(values: list[float], step: float) -> None:
    where = SweepRange(0, -20, 20, -60, 60, step)
    samples: list[Sample] = []
    most = int(120 / step) + 3
    while (z_um := next_height(samples, where)) is not None:
        samples.append(Sample(z_um, values[len(samples) % 40], 0.01))
        assert len(samples) <= most


def test_constant_dust_is_no_specimen() -> None:
    dust = [Sample(float(z), 0.5 + float(n), 0.01) for z, n in zip(range(10), np.zeros(10), strict=True)]
    assert not significant(dust)
