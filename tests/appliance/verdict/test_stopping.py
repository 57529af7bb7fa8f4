"""Sequential stopping: only a certain 3+ ends a reading, and what was not visited is then no defect."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.assays import AfbGrading, Assay, StopEarly, load_assay
from appliance.records import FieldRecord, SlideRun
from appliance.verdict import UNSATISFACTORY, form_verdict
from appliance.verdict.stopping import early_ending, looks, lower_bound

from . import slide_records as make

ASSAY = load_assay("afb")
POINT = make.afb_point(sensitivity=0.4, false_per_mm2=0.2)
FIELD_900_MM2, FIELD_450_MM2 = 0.05, 0.2
LIMIT = 1000.0 / 100.0 * 0.4 / make.HPF_MM2 * FIELD_900_MM2
"""Objects called in a field at 900x where the density is at the limit of 3+."""


def grading(assay: Assay = ASSAY) -> AfbGrading:
    assert isinstance(assay.grading, AfbGrading)
    return assay.grading


def own(**changes: object) -> Assay:
    """The assay with another stopping rule."""
    rule = grading().stop_early
    assert rule is not None
    changed = StopEarly.model_validate({**rule.model_dump(), **changes})
    return ASSAY.model_copy(update={"grading": grading().model_copy(update={"stop_early": changed})})


def smear(planned: int = 189, field_mm2: float = FIELD_900_MM2) -> SlideRun:
    return make.run("afb", planned, field_mm2=field_mm2)


def counted(counts: Sequence[int]) -> list[FieldRecord]:
    return [make.field(index, afb=n) for index, n in enumerate(counts)]


def even(times_limit: float, fields: int) -> list[FieldRecord]:
    """Fields that differ by chance alone."""
    return counted(np.random.default_rng(fields).poisson(times_limit * LIMIT, fields).tolist())


def test_a_dense_even_smear_is_enough_at_the_first_look_and_the_verdict_says_so() -> None:
    run, fields = smear(), even(5.0, 13)
    assert early_ending(ASSAY, run, fields[:12], POINT) is None
    assert early_ending(ASSAY, run, fields, POINT) is not None
    verdict = form_verdict(ASSAY, run, fields, [], POINT)
    assert (verdict.category, verdict.provisional, verdict.stopped_early) == ("3+", False, True)
    assert verdict.flags == ("stopped_early", "cpu_runtime")
    assert (verdict.fields.captured, verdict.fields.planned) == (13, 189)
    said = [reason for reason in verdict.reasons if reason.startswith("Reading ended early")]
    assert len(said) == 1
    assert "after 13 of 189 planned fields: 3+ is certain. With 99.9 % confidence the whole plan holds more" in said[0]
    assert "(3+ begins at 1000), if the fields not visited hold at least 50 % of the density read." in said[0]
    assert not any("incomplete" in reason or "recommended" in reason for reason in verdict.reasons)


def test_the_bound_that_is_said_lies_between_the_limit_and_the_density() -> None:
    run, fields = smear(), even(5.0, 45)
    enough = early_ending(ASSAY, run, fields, POINT)
    assert enough is not None
    assert 1000.0 < enough.per_100_hpf < form_verdict(ASSAY, run, fields, [], POINT).figures["afb_per_100_hpf"]


@pytest.mark.parametrize(("times_limit", "grade"), [(0.0, "negative"), (0.005, "scanty"), (0.05, "1+"), (0.6, "2+")])
@pytest.mark.parametrize("field_mm2", [FIELD_900_MM2, FIELD_450_MM2])
def test_no_lower_grade_ends_a_reading_however_sure_it_is(times_limit: float, grade: str, field_mm2: float) -> None:
    per_field = times_limit * LIMIT * field_mm2 / FIELD_900_MM2
    run = smear(200, field_mm2)
    edges = [round(index * per_field) for index in range(200)]
    fields = counted([b - a for a, b in itertools.pairwise(edges)])
    point = make.afb_point(sensitivity=0.4)
    assert form_verdict(ASSAY, run, fields, [], point).category == grade
    assert all(early_ending(ASSAY, run, fields[:visited], point) is None for visited in looks(grading(), run))


def test_never_before_the_area_that_the_table_asks_for() -> None:
    """Small fields: 20 high-power fields are 63 of 0.01 mm², so that 62 are not enough whatever they hold."""
    run, fields = smear(400, 0.01), counted([900] * 100)
    assert looks(grading(), run)[0] == 63
    assert early_ending(ASSAY, run, fields[:62], POINT) is None
    assert early_ending(ASSAY, run, fields[:63], POINT) is not None
    blank = [*make.fields(0, blank=3), *(make.field(3 + k, afb=900) for k in range(60))]
    assert form_verdict(ASSAY, run, blank, [], POINT).provisional
    assert early_ending(ASSAY, run, blank, POINT) is None


def test_bacilli_in_clumps_or_in_one_stretch_need_more_fields_than_even_ones() -> None:
    run, mean = smear(), round(4 * LIMIT)
    spread = counted([mean] * 20)
    clumped = counted([mean * 10, *([0] * 9)] * 2)
    stretch = counted([*([mean * 2] * 10), *([0] * 10)])
    assert early_ending(ASSAY, run, spread, POINT) is not None
    for fields in (clumped, stretch):
        assert form_verdict(ASSAY, run, fields, [], POINT).counts["afb"].n == 20 * mean
        assert early_ending(ASSAY, run, fields, POINT) is None


def test_how_much_the_rest_must_hold_is_the_assays() -> None:
    """At 1.5 times the limit, 102 of 189 fields read: enough if the rest is as dense, not if it may be empty."""
    run, fields = smear(), counted([round(1.5 * LIMIT)] * 102)
    assert early_ending(own(rest_at_least=1.0), run, fields, POINT) is not None
    assert early_ending(own(rest_at_least=0.0), run, fields, POINT) is None
    assert early_ending(own(rest_at_least=0.0), run, counted([round(3 * LIMIT)] * 102), POINT) is not None


def test_a_whole_plan_a_short_one_and_an_assay_without_a_rule_never_end_early() -> None:
    dense = even(8.0, 60)
    assert early_ending(ASSAY, smear(60), dense, POINT) is None
    assert early_ending(ASSAY, smear(12), dense[:11], POINT) is None
    assert looks(grading(), smear(12)) == ()
    plain = ASSAY.model_copy(update={"grading": grading().model_copy(update={"stop_early": None})})
    assert early_ending(plain, smear(), dense, POINT) is None
    verdict = form_verdict(plain, smear(), dense, [], POINT)
    assert (verdict.category, verdict.stopped_early) == ("3+", False)
    assert "scan_incomplete" in verdict.flags
    effusion = make.fields(30, malignant=900, benign=900)
    assert early_ending(load_assay("serous"), make.run("serous", 60), effusion, make.serous_point()) is None


def test_fields_that_fail_after_the_look_undo_it() -> None:
    run, fields = smear(), even(8.0, 13)
    failed = [make.field(13 + k, make.Outcome.FAILED, reason="not focused: flat", quality=None) for k in range(14)]
    assert early_ending(ASSAY, run, [*fields, *failed[:12]], POINT) is not None
    assert early_ending(ASSAY, run, [*fields, *failed], POINT) is None
    verdict = form_verdict(ASSAY, run, [*fields, *failed], [], POINT)
    assert verdict.category == UNSATISFACTORY
    assert "scan_incomplete" in verdict.flags


def test_fields_recorded_after_the_look_count_and_do_not_change_the_decision() -> None:
    run, fields = smear(), even(5.0, 19)
    first = early_ending(ASSAY, run, fields[:13], POINT)
    assert first is not None
    assert early_ending(ASSAY, run, fields, POINT) == first
    verdict = form_verdict(ASSAY, run, fields, [], POINT)
    assert verdict.counts["afb"].n == sum(record.counts["afb"] for record in fields)
    assert any("after 19 of 189" in reason for reason in verdict.reasons)


@pytest.mark.parametrize(("planned", "field_mm2"), [(189, FIELD_900_MM2), (48, FIELD_450_MM2), (1000, 0.01)])
def test_looks_ascend_within_the_plan_and_begin_with_the_tables_area(planned: int, field_mm2: float) -> None:
    times = looks(grading(), smear(planned, field_mm2))
    assert list(times) == sorted(set(times))
    assert times[0] * field_mm2 >= 20 * make.HPF_MM2
    assert times[-1] < planned <= 1.5 * times[-1] + 1


def test_the_bound_of_even_fields_is_that_of_chance_alone() -> None:
    """27 fields of 100 are nine batches alike; Student's 99 % quantile with 8 degrees of freedom is 2.8965."""
    assert lower_bound([100] * 27, 0.99) == pytest.approx(2700 * np.exp(-2.8965 / np.sqrt(2700)), rel=1e-5)


def test_the_bound_of_nothing_or_of_few_fields_is_zero() -> None:
    assert lower_bound([0] * 50, 0.99) == 0.0
    assert lower_bound([500] * 11, 0.99) == 0.0
    assert lower_bound([500] * 12, 0.99) > 0.0


@pytest.mark.parametrize("alike", [1, 4])
def test_the_bound_holds_as_often_as_it_says_where_fields_differ_by_clumps(alike: int) -> None:
    """Negative binomial counts, alone and in stretches of four alike; a Poisson bound fails on a quarter."""
    rng = np.random.default_rng(3)
    mean, fields, slides = 40.0, 60, 400
    levels = rng.gamma(2.0, 0.5, (slides, fields // alike)).repeat(alike, axis=1)
    missed = sum(lower_bound(row.tolist(), 0.99) > mean * fields for row in rng.poisson(mean * levels))
    assert missed <= 0.03 * slides


@settings(max_examples=200, deadline=None)
@given(
    level=st.floats(0.0, 400.0),
    counts=st.lists(st.floats(0.0, 3.0), min_size=12, max_size=60),
    failed=st.sets(st.integers(0, 59)),
    planned=st.integers(12, 200),
    field_mm2=st.sampled_from([0.02, FIELD_900_MM2, FIELD_450_MM2]),
)
def test_whatever_ends_a_reading_is_a_3_plus_that_stands(
    level: float, counts: list[float], failed: set[int], planned: int, field_mm2: float
) -> None:
    run = smear(planned, field_mm2)
    fields = [
        make.field(index, make.Outcome.FAILED, reason="flat", quality=None)
        if index in failed
        else make.field(index, afb=round(level * n))
        for index, n in enumerate(counts)
    ][:planned]
    enough = early_ending(ASSAY, run, fields, POINT)
    verdict = form_verdict(ASSAY, run, fields, [], POINT)
    assert verdict.stopped_early == (enough is not None)
    assert ("scan_incomplete" in verdict.flags) == (enough is None and len(fields) < planned)
    if enough is not None:
        assert (verdict.category, verdict.provisional) == ("3+", False)
        assert verdict.figures["hpf_read"] >= 20
        assert len(fields) < planned
        assert enough.per_100_hpf > 1000


@settings(max_examples=100, deadline=None)
@given(counts=st.lists(st.integers(0, 900), min_size=13, max_size=60), order=st.randoms(use_true_random=False))
def test_twice_the_bacilli_never_undo_an_ending_nor_does_the_order_of_records(
    counts: list[int], order: np.random.Generator
) -> None:
    run, fields = smear(), counted(counts)
    enough = early_ending(ASSAY, run, fields, POINT)
    shuffled = [*fields]
    order.shuffle(shuffled)  # type: ignore[arg-type]
    assert early_ending(ASSAY, run, shuffled, POINT) == enough
    if enough is not None:
        assert early_ending(ASSAY, run, counted([2 * n for n in counts]), POINT) is not None
