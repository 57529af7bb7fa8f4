"""Peaks are found once each, where they are, however they lie."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engines.decode import LabelMap, decode, find_peaks

TARGET = LabelMap("malignant", target=True, width_px=80, height_px=80, separation_px=24)
OTHER = LabelMap("benign", target=False, width_px=50, height_px=50, separation_px=20)


def _bump(shape: tuple[int, int], row: float, col: float, height: float, sigma: float = 1.2) -> NDArray[np.float32]:
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    return (height * np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / (2 * sigma**2))).astype(np.float32)


@given(row=st.floats(3, 26), col=st.floats(3, 36), height=st.floats(0.3, 0.99), stride=st.sampled_from([1, 2, 4, 8]))
@settings(max_examples=60, deadline=None)
def test_one_bump_gives_one_peak_at_its_place(row: float, col: float, height: float, stride: int) -> None:
    peaks = find_peaks(_bump((30, 40), row, col, height), stride, 3.0 * stride, 0.2)
    assert peaks.probability.size == 1
    # Half a cell where two cells tie exactly (a plateau is placed at its centroid), less everywhere else.
    assert abs(peaks.x_px[0] - col * stride) <= 0.5 * stride
    assert abs(peaks.y_px[0] - row * stride) <= 0.5 * stride


@given(
    heat=st.integers(0, 2**32 - 1).map(lambda s: np.random.default_rng(s).random((24, 31), dtype=np.float32)),
    separation=st.floats(1.0, 6.0),
    threshold=st.floats(0.05, 0.95),
)
@settings(max_examples=60, deadline=None)
def test_peaks_keep_their_distance_and_the_threshold(
    heat: NDArray[np.float32], separation: float, threshold: float
) -> None:
    peaks = find_peaks(heat, 1, separation, threshold)
    assert np.all(peaks.probability >= threshold)
    assert np.all(np.diff(peaks.probability) <= 0)
    places = np.stack([peaks.x_px, peaks.y_px], axis=1)
    gaps = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    np.fill_diagonal(gaps, np.inf)
    # Up to half a cell each way may be lost to rounding and to placing peaks between cells.
    assert np.all(gaps >= round(separation) - 1.5)
    if heat.max() >= threshold:
        assert peaks.probability[0] == heat.max()


def test_a_plateau_counts_once_at_its_middle() -> None:
    heat = np.zeros((20, 20), np.float32)
    heat[5:8, 9:14] = 1.0
    peaks = find_peaks(heat, 4, 8.0, 0.5)
    assert peaks.probability.tolist() == [1.0]
    assert (float(peaks.x_px[0]), float(peaks.y_px[0])) == (44.0, 24.0)


def test_two_equal_peaks_within_reach_count_once() -> None:
    heat = np.zeros((20, 20), np.float32)
    heat[5, 5] = heat[5, 7] = 0.9
    assert find_peaks(heat, 1, 4.0, 0.5).probability.size == 1


def test_a_peak_at_the_border_stays_inside() -> None:
    heat = _bump((20, 20), 0, 19, 0.9)
    peaks = find_peaks(heat, 8, 16.0, 0.2)
    assert (float(peaks.x_px[0]), float(peaks.y_px[0])) == (152.0, 0.0)


def test_an_empty_map() -> None:
    assert find_peaks(np.zeros((9, 9), np.float32), 4, 8.0, 0.2).probability.size == 0


def _decode(malignant: float, benign: float) -> list[tuple[str, float]]:
    maps = np.stack([_bump((30, 40), 12, 20, malignant), _bump((30, 40), 12, 21, benign)])
    found = decode(maps, [TARGET, OTHER], 8, report_threshold=0.2, finding_threshold=0.5)
    return [(d.label, round(d.probability, 3)) for d in found]


def test_a_sure_target_is_not_counted_again_as_the_other_class() -> None:
    assert _decode(0.7, 0.9) == [("malignant", 0.7)]


def test_a_weak_target_stays_beside_the_other_class() -> None:
    assert _decode(0.3, 0.9) == [("malignant", 0.3), ("benign", 0.9)]


def test_below_the_report_threshold_there_is_nothing() -> None:
    assert _decode(0.1, 0.15) == []
