"""Two lists of detections of the same picture."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.acceptance.compare import Tolerance, difference, findings, identical, match, same_findings
from engines.scorer import Detection

TOLERANCE = Tolerance(threshold=0.5, reported=0.2, targets=frozenset({"bad"}), score=0.05, others=0.02, radius_px=10.0)


def seen(x: float, probability: float, label: str = "bad", y: float = 0.0) -> Detection:
    return Detection(label, probability, x, y, 4.0, 4.0)


def crowd(count: int, label: str = "cell") -> list[Detection]:
    return [seen(100.0 * number, 0.9, label) for number in range(count)]


def test_the_nearest_are_one_object_and_each_is_so_once() -> None:
    first = [seen(0, 0.9), seen(8, 0.8)]
    second = [seen(7, 0.8), seen(30, 0.7)]
    assert match(first, second, 10.0) == [(1, 0)]
    assert match(first, [*second, seen(-9, 0.6)], 10.0) == [(1, 0), (0, 2)]


def test_what_lies_farther_than_the_radius_or_has_another_label_is_another_object() -> None:
    assert match([seen(0, 0.9)], [seen(10, 0.9)], 10.0) == []
    assert match([seen(0, 0.9)], [seen(6, 0.9, y=8.1)], 10.0) == []
    assert match([seen(0, 0.9)], [seen(0, 0.9, "cell")], 10.0) == []


def test_the_largest_difference_of_any_object_is_told() -> None:
    found = difference([seen(0, 0.9), seen(50, 0.3, "cell")], [seen(1, 0.88), seen(50, 0.41, "cell")], TOLERANCE)
    assert (found.pairs, found.missing, found.added) == (2, 0, 0)
    assert found.max_abs_delta == pytest.approx(0.11)


def test_a_target_that_only_one_list_has_is_missing_or_added() -> None:
    both, alone = seen(0, 0.9), seen(50, 0.51)
    assert difference([both, alone], [both], TOLERANCE).missing == 1
    assert difference([both], [both, alone], TOLERANCE).added == 1
    assert difference([both, seen(50, 0.49)], [both], TOLERANCE).missing == 0, "no finding"
    assert difference([both, seen(50, 0.9, "cell")], [both], TOLERANCE).missing == 0, "no target"


def test_what_another_runtime_may_just_not_report_is_not_missing() -> None:
    all_reported = Tolerance(0.5, 0.5, frozenset({"bad"}), 0.05, 0.02, 10.0)
    assert difference([seen(0, 0.54)], [], all_reported).missing == 0
    assert difference([seen(0, 0.56)], [], all_reported).missing == 1


def test_what_is_no_number_never_passes_for_a_score() -> None:
    same = difference([seen(0, 0.9), seen(50, 0.9)], [seen(0, 0.9), seen(50, math.nan)], TOLERANCE)
    assert math.isnan(same.max_abs_delta)
    assert difference([], [seen(0, math.nan)], TOLERANCE).added == 1


def test_findings_are_counted_by_label_from_the_threshold_on() -> None:
    assert findings([seen(0, 0.5), seen(50, 0.49), *crowd(3)], 0.5) == {"bad": 1, "cell": 3}


def test_an_undecided_target_may_be_a_finding_or_not_and_a_decided_one_may_not() -> None:
    assert same_findings([seen(0, 0.53)], [seen(0, 0.49)], TOLERANCE)
    assert same_findings([seen(0, 0.47)], [seen(0, 0.51)], TOLERANCE)
    assert not same_findings([seen(0, 0.56)], [seen(0, 0.49)], TOLERANCE)
    assert not same_findings([seen(0, 0.53)], [seen(0, 0.53), seen(50, 0.9), seen(90, 0.9)], TOLERANCE)
    assert not same_findings([], [seen(0, 0.9)], TOLERANCE)


def test_of_other_labels_a_small_share_may_come_and_go() -> None:
    assert same_findings(crowd(100), crowd(98), TOLERANCE)
    assert same_findings(crowd(100), crowd(102), TOLERANCE)
    assert not same_findings(crowd(100), crowd(97), TOLERANCE)
    assert same_findings(crowd(10), crowd(9), TOLERANCE), "one, of however few"
    assert not same_findings(crowd(10), crowd(8), TOLERANCE)
    assert not same_findings(crowd(100, "bad"), crowd(99, "bad"), TOLERANCE)


def test_another_label_may_come_where_an_undecided_target_goes() -> None:
    assert same_findings([*crowd(50), seen(-50, 0.51)], [*crowd(52), seen(-50, 0.49)], TOLERANCE)
    assert not same_findings([*crowd(50), seen(-50, 0.6)], [*crowd(52), seen(-50, 0.6)], TOLERANCE)


def test_equal_answers_are_found_and_empty_ones_say_nothing() -> None:
    a, b = [seen(0, 0.9)], [seen(0, math.nextafter(0.9, 1))]
    assert identical([a, b, [], list(a), []]) == [(0, 3)]


anything = st.lists(
    st.builds(seen, st.floats(0, 60), st.floats(0.2, 1), st.sampled_from(["bad", "cell"]), st.floats(0, 20)),
    max_size=8,
)


@given(anything, anything)
def test_what_is_missing_one_way_is_added_the_other_way(first: list[Detection], second: list[Detection]) -> None:
    there, back = difference(first, second, TOLERANCE), difference(second, first, TOLERANCE)
    assert there.pairs <= min(len(first), len(second))
    assert (there.pairs, there.missing, there.added) == (back.pairs, back.added, back.missing)


@given(anything)
def test_nothing_differs_from_itself(detections: list[Detection]) -> None:
    found = difference(detections, list(detections), TOLERANCE)
    assert (found.pairs, found.missing, found.added) == (len(detections), 0, 0)
    assert same_findings(detections, list(detections), TOLERANCE)
