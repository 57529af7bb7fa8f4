"""Peaks from few samples: near the truth, honest about it, and asking for what is missing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.scan.focus.estimate import Peak, Sample, Width, fit_peak, missing_sample, template_peak

WIDTH = 2.0  # all heights in depths of field
STEP = 0.8


def curve(z: float, peak: float, width: float = WIDTH, pedestal: float = 0.0) -> float:
    return 100 * (pedestal + (1 - pedestal) / (1 + (2 * (z - peak) / width) ** 2))


def samples(
    heights: list[float], peak: float, width: float = WIDTH, pedestal: float = 0.0, noise: float = 0.2, seed: int = 0
) -> list[Sample]:
    rng = np.random.default_rng(seed)
    return [Sample(z, curve(z, peak, width, pedestal) + float(rng.normal(0, noise)), noise) for z in heights]


@settings(max_examples=150, deadline=None)
@given(
    peak=st.floats(-0.35, 0.35),
    width=st.floats(1.4, 3.0),
    pedestal=st.floats(0, 0.15),
    gain=st.floats(1e-3, 1e6),
    seed=st.integers(0, 99),
)
def test_a_bracketed_peak_is_found_whatever_width_and_gain(
    peak: float, width: float, pedestal: float, gain: float, seed: int
) -> None:
    taken = samples([-STEP, 0, STEP], peak, width, pedestal, seed=seed)
    found = fit_peak([Sample(s.z_um, s.value * gain, s.sigma * gain) for s in taken], WIDTH)
    assert found.reason == "bracketed"
    assert abs(found.z_um - peak) < 0.15
    assert abs(found.z_um - peak) < 5 * found.sigma_um
    assert 0 < found.confidence <= 1


def test_order_of_samples_does_not_matter() -> None:
    taken = samples([-STEP, 0, STEP, 2 * STEP], 0.3)
    assert fit_peak(taken, WIDTH) == fit_peak(taken[::-1], WIDTH)


def test_sigma_covers_the_error() -> None:
    rng = np.random.default_rng(5)
    scores = []
    for seed in range(200):
        peak, width = float(rng.uniform(-0.4, 0.4)), float(rng.uniform(1.5, 2.8))
        found = fit_peak(samples([-STEP, 0, STEP], peak, width, 0.05, 1.0, seed), WIDTH)
        scores.append((found.z_um - peak) / found.sigma_um)
    assert float(np.mean(np.abs(scores) < 2)) > 0.95
    assert float(np.std(scores)) > 0.1, "a sigma this large says nothing"


@pytest.mark.parametrize("heights", [(-0.25, 0.25), (-0.5, 0.0, 0.5), (-1.0, -0.25, 0.25)])
@pytest.mark.parametrize("error", [0.05, 0.12])
def test_peaks_are_as_far_from_the_sharpest_frame_as_is_said_though_heights_err(
    heights: tuple[float, ...], error: float
) -> None:
    rng = np.random.default_rng(7)
    scores, plain = [], []
    for _ in range(300):
        peak, width = float(rng.uniform(-0.3, 0.3)), float(rng.normal(WIDTH, 0.15 * WIDTH))
        real = np.array(heights) + rng.normal(0, error, len(heights))
        taken = [
            Sample(z, curve(at, peak, width) * float(rng.normal(1, 0.01)), 0.2)
            for z, at in zip(heights, real, strict=True)
        ]
        best = int(np.argmax([sample.value for sample in taken]))
        expected = Peak(peak + float(rng.normal(0, 0.3)), 0.3, 1.0, "expected", WIDTH)
        for kept, height_error in ((scores, error), (plain, 0.0)):
            found = template_peak(taken, Width(WIDTH, 0.15), expected, height_error)
            if found.reason == "template":
                off = real[best] - peak
                kept.append((heights[best] - found.z_um - off) / found.sigma_um)
    assert len(scores) > 150
    assert 0.6 < float(np.sqrt(np.mean(np.square(scores)))) < 1.3
    assert float(np.mean(np.square(plain))) > 1.3 * float(np.mean(np.square(scores)))


def test_a_bad_guess_makes_unsure_and_then_gives_way() -> None:
    taken = [Sample(z, curve(z, 0.0), 6.0) for z in (-0.2, 0.2)]
    right, bad, worse = (
        template_peak(taken, Width(WIDTH, 0.15), Peak(0.15 * off, 0.15, 1.0, "expected", WIDTH)) for off in (0, 4, 5)
    )
    assert bad.sigma_um > 1.5 * right.sigma_um
    assert worse.z_um / 5 < bad.z_um / 4


@pytest.mark.parametrize(("height_error", "reason"), [(0.0, "template"), (0.1, "edge")])
def test_frames_whose_heights_err_have_to_surround_their_peak(height_error: float, reason: str) -> None:
    taken = [Sample(z, curve(z, 0.05), 0.02) for z in (-0.4, 0.0)]
    guess = Peak(0.05, 0.1, 1.0, "expected", WIDTH)
    assert template_peak(taken, Width(WIDTH, 0.15), guess, height_error).reason == reason


def test_what_frames_say_alone_is_not_drawn_to_where_they_were_taken() -> None:
    """The surface hears it, and frames are taken where the surface was wrong before."""
    rng = np.random.default_rng(3)
    width, error = 4.5, 0.11
    middles, misses = rng.normal(0, 0.35, 300), []
    for middle in middles:
        asked = middle + np.array([-0.25, 0.25])
        real = asked + rng.normal(0, error, 2)
        taken = [Sample(float(z), curve(at, 0.0, width, 0.05), 0.4) for z, at in zip(asked, real, strict=True)]
        best = int(np.argmax([sample.value for sample in taken]))
        misses.append(template_peak(taken, Width(width, 0.12), None, error).z_um - (asked[best] - real[best]))
    drawn = float(np.polyfit(middles, misses, 1)[0])
    assert drawn < 0.1


def test_more_samples_say_more() -> None:
    few = fit_peak(samples([-STEP, 0, STEP], 0.2), WIDTH)
    many = fit_peak(samples([-2 * STEP, -STEP, 0, 0.2, STEP], 0.2), WIDTH)
    assert many.sigma_um < few.sigma_um


@given(peak=st.floats(-20, 20), step=st.floats(0.1, 5))
def test_an_edge_maximum_asks_for_one_more_beyond_it(peak: float, step: float) -> None:
    heights = [-step, 0.0, step]
    taken = samples(heights, peak, 4 * step, noise=0.0)
    wanted = missing_sample(taken, step, -100, 100)
    values = [s.value for s in taken]
    best = values.index(max(values))
    if best == 1:
        assert wanted is None
    else:
        assert wanted is not None
        assert math.isclose(wanted, 2 * step if best == 2 else -2 * step)


def test_a_peak_expected_further_out_is_reached_faster_but_not_blindly() -> None:
    taken = samples([-STEP, 0, STEP], 5.0)
    assert missing_sample(taken, STEP, -10, 10, expected_um=STEP + 1.5) == STEP + 1.5
    assert missing_sample(taken, STEP, -10, 10, expected_um=9.0) == STEP + 2.5 * STEP
    assert missing_sample(taken, STEP, -10, 10, expected_um=-9.0) == 2 * STEP


def test_no_sample_is_asked_for_beyond_the_reach() -> None:
    taken = samples([-STEP, 0, STEP], 5.0)
    assert missing_sample(taken, STEP, -10, 1.7 * STEP) == 1.7 * STEP
    assert missing_sample(taken, STEP, -10, 1.1 * STEP) is None
    assert missing_sample(samples([-STEP, 0, STEP], -5.0), STEP, -STEP, 10) is None


def test_an_unbracketed_peak_says_so() -> None:
    found = fit_peak(samples([-STEP, 0, STEP], 3.0), WIDTH)
    assert found.reason == "edge"
    assert found.confidence <= 0.3


def test_a_curve_without_a_peak_is_flat() -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        noise = [Sample(z, float(rng.normal(0, 1)), 1.0) for z in (-STEP, 0, STEP)]
        assert fit_peak(noise, WIDTH).reason == "flat"
    assert fit_peak([Sample(z, 500.0 + 0.1 * z, 0.5) for z in (-STEP, 0, STEP)], WIDTH).reason == "flat"
    assert fit_peak([Sample(z, -1.0, 0.5) for z in (-STEP, 0, STEP)], WIDTH).confidence == 0.0


def test_a_spike_narrower_than_any_defocus_is_inconsistent() -> None:
    spike = [Sample(-STEP, 1.0, 0.2), Sample(0, 100.0, 0.2), Sample(STEP, 1.0, 0.2)]
    found = fit_peak(spike, WIDTH)
    assert found.reason == "inconsistent"
    assert found.confidence <= 0.2


def test_two_peaks_are_flagged() -> None:
    taken = [Sample(z, curve(z, -2, 1.2) + 0.8 * curve(z, 2, 1.2), 0.3) for z in np.arange(-3, 3.1, 0.8).tolist()]
    found = fit_peak(taken, WIDTH)
    assert found.reason == "two peaks"
    assert found.confidence <= 0.5


def test_noise_on_a_single_peak_is_not_a_second_one() -> None:
    for seed in range(50):
        taken = samples([-1.6, -0.8, 0, 0.8, 1.6], 0.1, noise=2.0, seed=seed)
        assert fit_peak(taken, WIDTH).reason in {"bracketed", "edge"}


@given(z=st.lists(st.floats(-5, 5), min_size=3, max_size=8, unique_by=lambda v: round(v, 2)), seed=st.integers(0, 9))
@settings(deadline=None)
def test_any_samples_give_a_finite_height(z: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = fit_peak([Sample(h, float(rng.normal(10, 10)), 1.0) for h in z], WIDTH)
    assert math.isfinite(found.z_um)
    assert min(z) - 10 <= found.z_um <= max(z) + 10
    assert found.sigma_um > 0
