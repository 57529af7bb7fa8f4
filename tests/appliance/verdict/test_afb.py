"""AFB: every row of the table at its edges, area rules, and the two-rate model."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.assays import load_assay
from appliance.records import Outcome
from appliance.verdict import Verdict, form_verdict

from . import slide_records as make

ASSAY = load_assay("afb")
ORDER = ["negative", "confirm", "scanty", "1+", "2+", "3+"]


def read(n: int, hpf: float, *, sensitivity: float = 1.0, false_per_mm2: float = 0.0) -> Verdict:
    """The verdict on n bacilli in so many high-power fields, read as ten camera fields."""
    run = make.run("afb", 10, field_mm2=hpf * make.HPF_MM2 / 10)
    point = make.afb_point(sensitivity=sensitivity, false_per_mm2=false_per_mm2)
    return form_verdict(ASSAY, run, make.fields(10, afb=n), [], point)


@pytest.mark.parametrize(
    ("n", "hpf", "who", "cdc"),
    [
        (0, 100, "negative", "no AFB seen"),
        (1, 100, "confirm", "doubtful"),
        (2, 300, "confirm", "doubtful"),
        (3, 100, "scanty", "1+"),
        (3, 300, "scanty", "1+"),
        (9, 100, "scanty", "1+"),
        (29, 300, "scanty", "1+"),
        (10, 100, "1+", "2+"),
        (30, 300, "1+", "2+"),
        (99, 100, "1+", "2+"),
        (299, 300, "1+", "2+"),
        (100, 100, "2+", "3+"),
        (300, 300, "2+", "3+"),
        (900, 100, "2+", "3+"),
        (901, 100, "2+", "4+"),
        (1000, 100, "2+", "4+"),
        (3000, 300, "2+", "4+"),
        (1001, 100, "3+", "4+"),
        (3001, 300, "3+", "4+"),
        (50_000, 100, "3+", "4+"),
    ],
)
def test_every_row_at_its_edges(n: int, hpf: float, who: str, cdc: str) -> None:
    verdict = read(n, hpf)
    assert verdict.category == who
    assert verdict.also == {"CDC": cdc}
    assert not verdict.provisional


def test_the_table_is_named_with_its_version_and_the_field_is_printed() -> None:
    verdict = read(40, 300)
    assert verdict.table == "WHO/IUATLD bright field, version 1"
    assert verdict.operating_point == "afb-test-1"
    assert verdict.figures["hpf_area_mm2"] == pytest.approx(0.0314, abs=5e-5)
    assert any("0.0314 mm²" in reason for reason in verdict.reasons)


def test_scanty_gives_the_exact_figure() -> None:
    verdict = read(13, 200)
    assert verdict.category == "scanty"
    assert verdict.figures["afb_per_100_hpf"] == pytest.approx(6.5)
    assert "6.5 in 100 high-power fields, which is scanty" in verdict.reasons[0]


def test_densities_per_mm2_agree_with_the_printed_ranges() -> None:
    """Scanty begins at 0.32 and ends at 2.87 per mm²; 1+ begins at 3.2; 2+ at 31.8; 3+ above 318."""
    for n, per_mm2 in ((9, 2.87), (10, 3.18), (99, 31.5), (100, 31.8), (1000, 318.3)):
        assert read(n, 100).figures["afb_per_mm2"] == pytest.approx(per_mm2, rel=3e-3)


def test_camera_fields_at_450x_in_high_power_fields() -> None:
    """100 and 300 high-power fields are 15.7 and 47.1 fields of 0.2 mm²."""
    run = make.run("afb", 16, field_mm2=0.2)
    assert form_verdict(ASSAY, run, make.fields(16), [], make.afb_point()).category == "negative"
    fifteen = form_verdict(ASSAY, run, make.fields(15), [], make.afb_point())
    assert fifteen.category == "unsatisfactory"
    assert fifteen.figures["hpf_read"] == pytest.approx(95.5, abs=0.05)


@pytest.mark.parametrize(
    ("n", "hpf", "grade", "provisional"),
    [
        (201, 20, "3+", False),
        (200, 19.9, "3+", True),
        (60, 50, "2+", False),
        (60, 49.9, "2+", True),
        (20, 100, "1+", False),
        (20, 99.9, "1+", True),
        (4, 99.9, "scanty", True),
        (1, 50, "confirm", True),
    ],
)
def test_a_grade_on_less_area_than_its_row_asks_is_provisional(
    n: int, hpf: float, grade: str, provisional: bool
) -> None:
    verdict = read(n, hpf)
    assert (verdict.category, verdict.provisional) == (grade, provisional)
    assert ("provisional" in verdict.flags) == provisional
    assert any(reason.startswith("Provisional: the table asks for") for reason in verdict.reasons) == provisional


def test_negative_needs_100_high_power_fields() -> None:
    verdict = read(0, 99)
    assert verdict.category == "unsatisfactory"
    assert "Too little area: 99 high-power fields" in verdict.reasons[0]
    assert read(0, 100).category == "negative"


def test_300_are_recommended() -> None:
    assert "area_below_recommendation" in read(0, 299).flags
    assert "area_below_recommendation" not in read(0, 300).flags


def test_nothing_seen_gives_the_upper_bound() -> None:
    verdict = read(0, 300)
    assert verdict.figures["upper_bound_per_100_hpf"] == pytest.approx(3.0 / 3, abs=0.002)
    assert "fewer than 0.999 in 100 fields" in verdict.reasons[0]
    assert read(0, 300, sensitivity=0.5).figures["upper_bound_per_100_hpf"] == pytest.approx(2.0, abs=0.004)


def test_two_rate_model_takes_false_findings_away_and_allows_for_missed_ones() -> None:
    area = 300 * make.HPF_MM2
    verdict = read(40, 300, sensitivity=0.8, false_per_mm2=10 / area)
    assert verdict.figures["expected_false_findings"] == pytest.approx(10)
    assert verdict.figures["afb_per_100_hpf_raw"] == pytest.approx(40 / 3)
    assert verdict.figures["afb_per_100_hpf"] == pytest.approx((40 - 10) / 0.8 / 3)
    assert verdict.figures["afb_per_mm2"] == pytest.approx((40 - 10) / 0.8 / area)
    low, high = verdict.figures["afb_per_100_hpf_low"], verdict.figures["afb_per_100_hpf_high"]
    assert low < verdict.figures["afb_per_100_hpf"] < high


@pytest.mark.parametrize(("background", "last_negative"), [(2.0, 6), (0.5, 3), (10.0, 18)])
def test_a_count_is_positive_only_when_false_findings_do_not_explain_it(background: float, last_negative: int) -> None:
    """The critical counts follow from P(N >= n) < 0.01; P(N >= 6 | 2.0) is 1.7 %, P(N >= 3 | 0.5) 1.4 %."""
    per_mm2 = background / (300 * make.HPF_MM2)
    below = read(last_negative, 300, false_per_mm2=per_mm2)
    above = read(last_negative + 1, 300, false_per_mm2=per_mm2)
    assert below.category == "negative"
    assert "within_expected_false_findings" in below.flags
    assert f"{last_negative} objects called acid-fast, no more than false findings explain" in below.reasons[0]
    assert "no acid-fast bacilli seen" not in below.title
    assert below.also == {"CDC": "no AFB seen"}
    assert above.category == "confirm"


@pytest.mark.parametrize(("background", "last_unsure"), [(0.17, 3), (0.5, 5), (2.0, 12), (10.0, 43)])
def test_no_grade_by_density_where_a_slide_with_many_false_findings_explains_the_count(
    background: float, last_unsure: int
) -> None:
    """The spread is 3: P(N >= 3 | 0.51) is 1.5 %, P(N >= 4 | 0.51) 0.2 %. With S 0.2 three objects would be 1+."""
    per_mm2 = background / (130 * make.HPF_MM2)
    unsure = read(last_unsure, 130, sensitivity=0.2, false_per_mm2=per_mm2)
    assert unsure.figures["afb_per_100_hpf"] > 10
    assert (unsure.category, unsure.also) == ("confirm", {"CDC": "doubtful"})
    assert "within_varying_false_findings" in unsure.flags
    assert any("a slide with 3 times the usual false findings" in reason for reason in unsure.reasons)
    assert unsure.reasons[0].endswith("in 100 high-power fields.")
    sure = read(last_unsure + 1, 130, sensitivity=0.2, false_per_mm2=per_mm2)
    assert sure.category in {"1+", "2+"}
    assert "within_varying_false_findings" not in sure.flags
    assert sure.reasons[0].endswith(f"which is {sure.category}.")


def test_positive_but_fewer_than_three_beyond_the_background_is_to_be_confirmed() -> None:
    assert read(3, 300, false_per_mm2=0.12 / (300 * make.HPF_MM2)).category == "scanty"  # a net 2.9 is 3 objects
    assert read(2, 300, false_per_mm2=0.1 / (300 * make.HPF_MM2)).category == "confirm"


def test_failed_fields_are_never_counted_as_negative() -> None:
    run = make.run("afb", 30, field_mm2=10 * make.HPF_MM2)
    verdict = form_verdict(ASSAY, run, make.fields(9, failed=8), [], make.afb_point())
    assert verdict.category == "unsatisfactory"
    assert verdict.figures["hpf_read"] == pytest.approx(90)
    assert (verdict.fields.usable, verdict.fields.failed, verdict.fields.captured) == (9, 8, 17)


def test_too_many_failed_fields_are_unsatisfactory_and_the_count_is_not_hidden() -> None:
    run = make.run("afb", 60, field_mm2=10 * make.HPF_MM2)
    verdict = form_verdict(ASSAY, run, make.fields(20, failed=40, afb=7), [], make.afb_point())
    assert verdict.category == "unsatisfactory"
    assert "40 of 60 fields (66.7 %)" in verdict.reasons[0]
    assert "not focused: flat" in verdict.reasons[0]
    assert "7 acid-fast bacilli were found" in verdict.reasons[1]
    assert "findings_on_unsatisfactory_slide" in verdict.flags
    assert verdict.counts["afb"].n == 7


def test_blank_fields_add_no_area() -> None:
    run = make.run("afb", 60, field_mm2=10 * make.HPF_MM2)
    none = form_verdict(ASSAY, run, make.fields(5, blank=55), [], make.afb_point())
    assert none.category == "unsatisfactory"
    assert "almost empty: 55 of 60 fields" in none.reasons[0]
    positive = form_verdict(ASSAY, run, make.fields(5, blank=55, afb=600), [], make.afb_point())
    assert (positive.category, positive.provisional) == ("3+", False)
    assert any("almost empty" in reason for reason in positive.reasons)
    enough = form_verdict(ASSAY, run, make.fields(10, blank=50), [], make.afb_point())
    assert enough.category == "negative"


def test_findings_count_when_the_record_lists_fewer() -> None:
    """The larger of count and list: a shortened list or a missing count never lowers the number."""
    run = make.run("afb", 10, field_mm2=10 * make.HPF_MM2)
    listed = make.findings("afb", [0.9] * 4 + [0.4] * 9, field=2)
    assert form_verdict(ASSAY, run, make.fields(10), listed, make.afb_point()).counts["afb"].n == 4
    assert form_verdict(ASSAY, run, make.fields(10, afb=40), listed, make.afb_point()).counts["afb"].n == 40


def test_findings_elsewhere_do_not_count() -> None:
    run = make.run("afb", 11, field_mm2=10 * make.HPF_MM2)
    stray = [*make.findings("afb", [0.9], field=10), *make.findings("debris", [0.9], field=1)]
    assert form_verdict(ASSAY, run, make.fields(10, failed=1), stray, make.afb_point()).counts["afb"].n == 0


def test_the_wording_is_a_suggestion() -> None:
    for verdict in (read(0, 300), read(40, 300), read(0, 5)):
        assert verdict.title.startswith("AI-assisted suggestion: ")
        assert "research use only" in verdict.reasons[-1]
        assert "for review by" in verdict.reasons[-1]


def test_score_ranks_by_count_without_ties() -> None:
    scores = [read(n, 300, false_per_mm2=0.2).score for n in (0, 1, 2, 5, 50, 5_000, 50_000)]
    assert None not in scores
    assert all(a < b for a, b in itertools.pairwise(scores))  # type: ignore[operator]


@settings(max_examples=150, deadline=None)
@given(
    n=st.integers(0, 4000),
    more=st.integers(1, 500),
    hpf=st.floats(5, 400),
    sensitivity=st.floats(0.3, 1.0),
    false_per_mm2=st.floats(0, 3),
)
def test_more_bacilli_never_lower_the_grade(
    n: int, more: int, hpf: float, sensitivity: float, false_per_mm2: float
) -> None:
    before = read(n, hpf, sensitivity=sensitivity, false_per_mm2=false_per_mm2).category
    after = read(n + more, hpf, sensitivity=sensitivity, false_per_mm2=false_per_mm2).category
    rank = {"unsatisfactory": 0, **{grade: k for k, grade in enumerate(ORDER)}}
    assert rank[after] >= rank[before]


@settings(max_examples=100, deadline=None)
@given(n=st.integers(3, 3000), hpf=st.integers(100, 300), times=st.integers(2, 20))
def test_more_area_at_the_same_density_keeps_the_grade(n: int, hpf: int, times: int) -> None:
    assert read(n * times, hpf * times).category == read(n, hpf).category


@settings(max_examples=50, deadline=None)
@given(st.permutations(range(12)))
def test_the_order_of_fields_does_not_matter(order: list[int]) -> None:
    run = make.run("afb", 12, field_mm2=10 * make.HPF_MM2)
    fields = make.fields(10, blank=1, failed=1, afb=17)
    shuffled = [fields[k] for k in order]
    point = make.afb_point()
    assert form_verdict(ASSAY, run, shuffled, [], point) == form_verdict(ASSAY, run, fields, [], point)


@pytest.mark.parametrize(("fields", "expected"), [(16, 0.64), (48, 0.95)])
def test_detection_probability_at_the_edge_of_scanty(fields: int, expected: float) -> None:
    """At 1 bacillus in 100 high-power fields, 16 fields of 0.2 mm² show one with 64 %, 48 with 95 %."""
    assert 1 - math.exp(-fields * 0.2 / make.HPF_MM2 / 100) == pytest.approx(expected, abs=0.01)
    run = make.run("afb", fields)
    verdict = form_verdict(ASSAY, run, make.fields(fields), [], make.afb_point())
    assert verdict.category == "negative"
    assert verdict.figures["hpf_read"] == pytest.approx(fields * 0.2 / make.HPF_MM2)


def test_stain_and_incomplete_scan_are_remarked() -> None:
    run = make.run("afb", 20, field_mm2=10 * make.HPF_MM2)
    pale = make.GOOD.__class__((190.0, 190.0, 160.0), 0.0, 0.01, 0.2, 0.0, 6.0)
    fields = [make.field(k, quality=pale) for k in range(12)]
    verdict = form_verdict(ASSAY, run, fields, [], make.afb_point())
    assert {"stain_out_of_range", "scan_incomplete"} <= set(verdict.flags)
    assert any("weaker than usual for Ziehl-Neelsen" in reason for reason in verdict.reasons)
    assert any("8 planned fields of 20 not visited" in reason for reason in verdict.reasons)
    assert verdict.fields.planned == 20
    assert Outcome.USABLE.value == "usable"
