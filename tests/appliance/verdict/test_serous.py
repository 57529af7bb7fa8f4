"""Serous effusions: score, cut-offs, adequacy, and what AI alone never says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.assays import TisGrading, load_assay
from appliance.verdict import NUCLEATED, Verdict, choose_cutoffs, form_verdict, slide_score
from engines.scorer import OperatingPoint

from . import slide_records as make

ASSAY = load_assay("serous")
GRADING = ASSAY.grading
assert isinstance(GRADING, TisGrading)
SCORING = GRADING.scoring


def read(malignant: int, benign: int, *, usable: int = 60, p: float = 0.9, failed: int = 0, **extra: str) -> Verdict:
    run = make.run("serous", usable + failed, **extra)
    fields = make.fields(usable, failed=failed, malignant=malignant, benign=benign)
    per_field = [f.counts.get("malignant", 0) for f in fields]
    findings = [f for k, n in enumerate(per_field) for f in make.findings("malignant", [p] * n, field=k)]
    return form_verdict(ASSAY, run, fields, findings, make.serous_point())


def score(n: int, cells: int, p: float = 0.9, point: OperatingPoint | None = None) -> float:
    return slide_score(n, cells, [p] * n, point or make.serous_point(), SCORING)


@pytest.mark.parametrize(
    ("malignant", "category", "words"),
    [
        (5, "NFM", "negative for malignancy"),
        (45, "AUS", "atypia of undetermined significance"),
        (120, "SFM", "suspicious for malignancy"),
        (2000, "MAL", "malignant"),
    ],
)
def test_cut_offs_give_the_four_categories(malignant: int, category: str, words: str) -> None:
    verdict = read(malignant, 10_000)
    assert (verdict.category, verdict.title) == (category, f"AI-assisted suggestion: {category}, {words}")
    assert verdict.table == "TIS, version 2020"
    assert verdict.score is not None
    assert verdict.figures["risk_of_malignancy_percent"] in {20.7, 65.9, 81.8, 98.9}


def test_a_score_at_a_cut_off_belongs_above_it() -> None:
    run, fields = make.run("serous", 60), make.fields(60, malignant=30, benign=10_000)
    exact = slide_score(30, 10_030, [], make.serous_point(), SCORING)
    point = make.serous_point()
    at = OperatingPoint("p", 0.5, 0.8, 0.0, 1e-3, {"t1": 0.01, "t2": exact, "t3": 0.999}, "")
    assert form_verdict(ASSAY, run, fields, [], at).category == "SFM"
    above = OperatingPoint("p", 0.5, 0.8, 0.0, 1e-3, {"t1": 0.01, "t2": exact + 1e-9, "t3": 0.999}, "")
    assert form_verdict(ASSAY, run, fields, [], above).category == "AUS"
    assert point.name == "serous-test-1"


def test_malignant_is_never_issued_by_ai_alone() -> None:
    verdict = read(2000, 10_000)
    assert any("never issued by AI alone" in reason for reason in verdict.reasons)
    assert verdict.reasons[-1] == "AI-assisted suggestion, for review by a cytopathologist; research use only."


def test_counts_and_share() -> None:
    verdict = read(110, 9_890)
    assert verdict.counts["malignant"].n == 110
    assert verdict.counts[NUCLEATED].n == 10_000
    assert verdict.area_mm2 == pytest.approx(12.0)
    assert verdict.counts[NUCLEATED].per_mm2 == pytest.approx(10_000 / 12)
    assert verdict.figures["expected_false_findings"] == pytest.approx(9.89)
    assert verdict.figures["malignant_share"] == pytest.approx((110 - 9.89) / 0.8 / 10_000)
    assert verdict.figures["malignant_share_low"] < verdict.figures["malignant_share"]


def test_the_score_where_false_findings_alone_are_seen() -> None:
    """No excess at all stands at squash(0), far below every cut-off."""
    n = round(1e-3 * 20_000)
    expected = 0.5 - 0.5 * SCORING.centre / (SCORING.half_scale + SCORING.centre)
    assert slide_score(n, 20_000 + n, [], make.serous_point(), SCORING) == pytest.approx(expected, abs=0.005)
    assert expected < 0.3


@settings(max_examples=200, deadline=None)
@given(n=st.integers(0, 3000), cells=st.integers(0, 60_000), p=st.floats(0.5, 0.999))
def test_the_score_rises_with_findings_and_falls_with_cells(n: int, cells: int, p: float) -> None:
    here = score(n, n + cells, p)
    assert 0.0 < here < 1.0
    assert score(n + 1, n + 1 + cells, p) > here
    assert score(n, n + cells + 50, p) < here


@settings(max_examples=100, deadline=None)
@given(probabilities=st.lists(st.floats(0.5, 0.99), min_size=1, max_size=30), lift=st.floats(0.0, 0.009))
def test_the_score_never_falls_with_a_probability(probabilities: list[float], lift: float) -> None:
    point = make.serous_point()
    raised = [p + lift for p in probabilities]
    n = len(probabilities)
    before = slide_score(n, 5000, probabilities, point, SCORING)
    assert slide_score(n, 5000, raised, point, SCORING) >= before
    assert slide_score(n, 5000, probabilities[::-1], point, SCORING) == before


def test_findings_of_fields_that_were_not_read_do_not_count() -> None:
    run, fields = make.run("serous", 61), make.fields(60, failed=1, benign=9_000)
    stray = [*make.findings("malignant", [0.99] * 50, field=60), *make.findings("malignant", [0.4], field=3)]
    point = make.serous_point()
    assert form_verdict(ASSAY, run, fields, stray, point) == form_verdict(ASSAY, run, fields, [], point)


def test_no_ties_among_slides() -> None:
    scores = [score(n, cells) for n, cells in itertools.product((0, 1, 7, 300, 9000), (9000, 9001, 20_000))]
    assert len(set(scores)) == len(scores)


def test_slides_are_ranked_by_evidence_and_not_by_size() -> None:
    """A small slide with 1 % malignant cells stands above a large benign one with as many false findings."""
    assert score(30, 3_000) > score(30, 30_000)


def test_the_score_separates_slides_with_one_percent_malignant_cells() -> None:
    """Drawn slides: cell number 4,000 to 40,000, false rate varying twofold, 1 % malignant in half of them."""
    rng = np.random.default_rng(3)

    def drawn(share: float) -> float:
        cells = int(np.exp(rng.uniform(np.log(4e3), np.log(4e4))))
        rate = 1e-3 * rng.gamma(4, 0.25)
        false, true = rng.poisson(rate * cells), rng.binomial(int(share * cells), 0.8)
        p = np.concatenate([1 / (1 + np.exp(-rng.exponential(1, false))), 1 / (1 + np.exp(-rng.exponential(2, true)))])
        return slide_score(false + true, cells, p.tolist(), make.serous_point(), SCORING)

    benign, malignant = [drawn(0.0) for _ in range(200)], [drawn(0.01) for _ in range(200)]
    auroc = float((np.array(malignant)[:, None] > np.array(benign)[None]).mean())
    assert auroc > 0.99
    cutoffs = make.serous_point().cutoffs
    assert np.mean([s < cutoffs["t1"] for s in benign]) > 0.95
    assert np.mean([s >= cutoffs["t1"] for s in malignant]) > 0.98


def test_poor_slide_without_a_finding_is_non_diagnostic() -> None:
    verdict = read(0, 9_000, usable=20, failed=40)
    assert (verdict.category, verdict.provisional) == ("ND", False)
    assert "40 of 60 fields" in verdict.reasons[0]
    assert any("scan again" in reason for reason in verdict.reasons)
    assert "rescan" in verdict.flags


def test_any_atypia_forbids_non_diagnostic() -> None:
    many = read(500, 9_000, usable=20, failed=40)
    assert many.category in {"SFM", "MAL"}
    assert many.provisional
    assert any("Non-diagnostic is not suggested" in reason for reason in many.reasons)
    few = read(3, 9_000, usable=20, failed=40)
    assert few.category == "unsatisfactory"
    assert "3 cells called malignant" in few.reasons[1]
    assert "findings_on_unsatisfactory_slide" in few.flags


def test_slide_without_a_nucleated_cell_is_non_diagnostic() -> None:
    verdict = read(0, 0)
    assert verdict.category == "ND"
    assert "No nucleated cell was found" in verdict.reasons[0]


def test_low_cellularity_is_advice_and_never_a_refusal() -> None:
    verdict = read(0, 199)
    assert verdict.category == "NFM"
    assert "low_cellularity" in verdict.flags
    assert any("advisory" in reason for reason in verdict.reasons)
    assert "low_cellularity" not in read(0, 200).flags
    assert not any("adequate" in reason for reason in read(0, 10_000).reasons)


@pytest.mark.parametrize(
    ("extra", "flagged"),
    [
        ({"volume_ml": "49"}, True),
        ({"volume_ml": "50"}, False),
        ({}, False),
        ({"volume_ml": "unknown"}, False),
        ({"volume_ml": "nan"}, False),
    ],
)
def test_small_volume_is_flagged_when_it_is_known(extra: dict[str, str], flagged: bool) -> None:
    verdict = read(0, 10_000, **extra)
    assert ("volume_below_recommendation" in verdict.flags) == flagged
    assert verdict.category == "NFM"


@pytest.mark.parametrize(
    ("benign", "malignant", "t1", "t3"),
    [
        ([0.1, 0.2, 0.3, 0.6], [0.4, 0.7, 0.8, 0.9], 0.4, 0.6),
        ([0.1, 0.2], [0.6, 0.9], 0.3, 0.5),
    ],
)
def test_chosen_cut_offs(benign: list[float], malignant: list[float], t1: float, t3: float) -> None:
    cutoffs = choose_cutoffs(benign, malignant)
    assert cutoffs["t1"] == pytest.approx(t1)
    assert cutoffs["t3"] == pytest.approx(t3)
    assert cutoffs["t1"] <= cutoffs["t2"] <= cutoffs["t3"]


@settings(max_examples=100, deadline=None)
@given(
    benign=st.lists(st.floats(0.01, 0.99), min_size=1, max_size=300),
    malignant=st.lists(st.floats(0.01, 0.99), min_size=1, max_size=300),
)
def test_chosen_cut_offs_keep_their_promise(benign: list[float], malignant: list[float]) -> None:
    cutoffs = choose_cutoffs(benign, malignant)
    assert np.mean([s >= cutoffs["t1"] for s in malignant]) >= 0.98 - 1e-9
    assert np.mean([s < cutoffs["t3"] for s in benign]) >= 0.995 - 1e-9
    assert cutoffs["t1"] <= cutoffs["t2"] <= cutoffs["t3"]


def test_cut_offs_need_both_kinds() -> None:
    with pytest.raises(ValueError, match="both kinds"):
        choose_cutoffs([], [0.5])
