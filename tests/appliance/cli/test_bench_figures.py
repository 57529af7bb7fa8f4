"""Agreement of grades and its intervals, on slides whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.assays import load_assay
from appliance.assays.model import AfbGrading, DensityTable
from appliance.cli.bench_figures import share_interval, weighted_kappa
from appliance.cli.bench_grades import GradedSlide, agreement, true_grade, twin_field_mm2
from appliance.cli.bench_reading import SlideScore
from appliance.cli.bench_verdict import called, specificity
from appliance.verdict.model import UNSATISFACTORY
from tests.appliance.cli.slide_scores import SLIDE

RANKS = ["negative", "confirm", "scanty", "1+", "2+", "3+"]


def _table() -> DensityTable:
    grading = load_assay("afb").grading
    assert isinstance(grading, AfbGrading)
    return grading.tables[0]


def _slide(category: str) -> SlideScore:
    return replace(SLIDE, category=category)


def _graded(truth: str, said: str) -> GradedSlide:
    lying = 0 if truth == "negative" else 40
    score = replace(SLIDE, lying=lying, category=said, score=float(RANKS.index(said)) if said in RANKS else 0.0)
    return GradedSlide(truth, truth, said, score)


@pytest.mark.parametrize(
    ("lying", "grade"),
    [(0, "negative"), (2, "confirm"), (5, "scanty"), (10, "1+"), (99, "1+"), (100, "2+"), (1000, "2+"), (1001, "3+")],
)
def test_the_true_grade_is_what_the_table_says_of_what_lies_there(lying: int, grade: str) -> None:
    hundred_fields = replace(SLIDE, lying=lying, area_mm2=100 * 0.0314)
    assert true_grade(_table(), hundred_fields, 0.0314) == grade


def test_errors_are_named_by_how_far_they_reach() -> None:
    graded = [
        *[_graded("negative", "negative")] * 4,
        _graded("negative", "2+"),
        _graded("negative", "scanty"),
        _graded("1+", "negative"),
        _graded("scanty", "negative"),
        _graded("3+", "3+"),
        _graded("2+", "3+"),
        _graded("2+", UNSATISFACTORY),
    ]
    figures = agreement(graded, RANKS, np.random.default_rng(0))
    assert {name: figures[name] for name in ("unsatisfactory", "hfn", "hfp", "lfn", "lfp")} == {
        "unsatisfactory": 1,
        "hfn": 1,
        "hfp": 1,
        "lfn": 1,
        "lfp": 1,
    }
    exact = figures["exact"]
    assert isinstance(exact, list)
    assert exact[0] == 0.5
    assert exact[1] < 0.5 < exact[2]


def test_kappa_is_one_for_agreement_and_none_for_chance() -> None:
    assert weighted_kappa([0, 1, 2, 3], [0, 1, 2, 3], 4) == 1.0
    rng = np.random.default_rng(1)
    truth, said = rng.integers(0, 4, (2, 4_000)).tolist()
    assert weighted_kappa(truth, said, 4) == pytest.approx(0.0, abs=0.06)
    near = weighted_kappa([0, 1, 2, 3], [1, 2, 3, 3], 4)
    far = weighted_kappa([0, 1, 2, 3], [3, 0, 0, 0], 4)
    assert near > far


def test_an_interval_holds_its_share() -> None:
    low, high = share_interval(np.array([True] * 45 + [False] * 5), np.random.default_rng(2))
    assert 0.75 < low < 0.9 < high <= 1.0


def test_a_field_at_900_has_a_quarter_of_the_area_at_450() -> None:
    assert twin_field_mm2(450) == pytest.approx(0.2, rel=0.01)
    assert twin_field_mm2(900) == pytest.approx(twin_field_mm2(450) / 4, rel=0.001)


def test_sensitivity_counts_every_slide_that_is_not_called() -> None:
    scores = [_slide("MAL"), _slide("AUS"), _slide("NFM"), _slide("unsatisfactory")]
    share, low, high = called(scores, ("AUS", "SFM", "MAL"), np.random.default_rng(0))
    assert share == 0.5
    assert 0.0 <= low < share < high <= 1.0
    assert called(scores, ("SFM",), np.random.default_rng(0)) == [0.0, 0.0, 0.0]


def test_specificity_is_of_slides_below_the_cut_off() -> None:
    figures = specificity([_slide("NFM"), _slide("ND"), _slide("AUS"), _slide("MAL")], np.random.default_rng(0))
    assert figures["specificity_at_t1"][0] == 0.5
    assert figures["specificity_at_t3"][0] == 0.75
    low, high = figures["specificity_at_t3"][1:]
    assert low < 0.75 < high
