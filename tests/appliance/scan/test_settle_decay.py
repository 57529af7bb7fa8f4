"""From displacements to a wait: enough for the envelope they come from, and not much more than that."""

from __future__ import annotations

import math

import numpy as np
import pytest

from appliance.scan.settle.decay import LONGEST_MS, SHORTEST_MS, TOLERANCE_PX, Displaced, Settling, settling


def ringing(
    amplitude_px: float, tau_ms: float, *, hz: float = 35.0, noise_px: float = 0.25, moves: int = 40, strays: int = 0
) -> Settling:
    """What comes of pictures at delays up to 150 ms, after moves from both sides along a slanted axis."""
    rng = np.random.default_rng(11)
    moved, at_rest = [], []
    for number in range(moves):
        delay_s = 0.15 * (number * (math.sqrt(5) - 1) / 2 % 1.0)
        side = 1.0 if number % 2 else -1.0
        along = side * amplitude_px * math.exp(-delay_s * 1e3 / tau_ms) * math.cos(2 * math.pi * hz * delay_s)
        if number < strays:
            along = 60.0
        noise = rng.normal(0.0, noise_px, 4)
        moved.append(Displaced(delay_s, 0.8 * along + noise[0], -0.6 * along + noise[1]))
        at_rest.append(Displaced(0.5, noise[2], noise[3]))
    return settling(moved, at_rest)


def needed_ms(amplitude_px: float, tau_ms: float) -> float:
    return tau_ms * math.log(amplitude_px / TOLERANCE_PX)


@pytest.mark.parametrize("hz", [12.0, 35.0, 80.0])
@pytest.mark.parametrize(
    ("amplitude_px", "tau_ms"), [(10.0, 25.0), (5.0, 25.0), (20.0, 25.0), (20.0, 10.0), (6.0, 40.0)]
)
def test_the_wait_suffices_and_is_not_much_longer(amplitude_px: float, tau_ms: float, hz: float) -> None:
    found, needed = ringing(amplitude_px, tau_ms, hz=hz), needed_ms(amplitude_px, tau_ms)
    left_px = amplitude_px * math.exp(-found.wait_ms / tau_ms)
    assert left_px <= 1.1 * TOLERANCE_PX, "sure to 95 %, and no more"
    assert found.wait_ms <= 1.4 * needed + 5.0
    assert found.likely_ms == pytest.approx(needed, rel=0.3, abs=5.0)
    assert found.tau_ms == pytest.approx(tau_ms, rel=0.35)
    assert found.rest_px == pytest.approx(0.25, rel=0.5)
    assert not found.bounded


def test_a_stage_that_does_not_ring_waits_the_shortest_time() -> None:
    found = ringing(0.0, 25.0)
    assert found.likely_ms < SHORTEST_MS
    assert SHORTEST_MS <= found.wait_ms < 40.0


def test_a_stage_that_rings_on_and_on_waits_no_longer_than_the_longest_time_and_that_is_said() -> None:
    found = ringing(30.0, 150.0)
    assert found.wait_ms == LONGEST_MS
    assert found.bounded


def test_few_or_noisy_pictures_make_the_wait_longer() -> None:
    sure = ringing(10.0, 25.0, moves=80)
    for doubtful in (ringing(10.0, 25.0, moves=8), ringing(10.0, 25.0, noise_px=1.5)):
        assert doubtful.wait_ms - doubtful.likely_ms > sure.wait_ms - sure.likely_ms
        assert doubtful.wait_ms >= needed_ms(10.0, 25.0)


def test_a_picture_mistaken_changes_little() -> None:
    assert ringing(10.0, 25.0, strays=2).wait_ms == pytest.approx(ringing(10.0, 25.0).wait_ms, abs=12.0)
