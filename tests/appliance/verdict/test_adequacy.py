"""Slides that cannot be judged: empty, inked, unfocused, half read. The same for both assays."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.assays import Assay, load_assay
from appliance.records import FieldRecord, Outcome
from appliance.verdict import UNSATISFACTORY, Verdict, form_verdict
from engines.scorer import OperatingPoint

from . import slide_records as make

ASSAYS = [load_assay("serous"), load_assay("afb")]


def point_of(assay: Assay) -> OperatingPoint:
    return make.serous_point() if assay.name == "serous" else make.afb_point()


def judge(assay: Assay, fields: list[FieldRecord], planned: int | None = None) -> Verdict:
    run = make.run(assay.name, len(fields) if planned is None else planned)
    return form_verdict(assay, run, fields, [], point_of(assay))


@pytest.fixture(params=ASSAYS, ids=lambda assay: assay.name)
def assay(request: pytest.FixtureRequest) -> Assay:
    found: Assay = request.param
    return found


def test_nothing_captured(assay: Assay) -> None:
    verdict = judge(assay, [], planned=60)
    assert verdict.category == UNSATISFACTORY
    assert verdict.reasons[0] == "No field was captured."
    assert verdict.score is None
    assert not verdict.satisfactory


def test_empty_slide(assay: Assay) -> None:
    verdict = judge(assay, make.fields(0, blank=60))
    assert verdict.category == UNSATISFACTORY
    assert verdict.reasons[0] == "The slide looks empty: none of 60 fields shows specimen."
    assert not any("Ink" in reason for reason in verdict.reasons)
    assert verdict.fields.blank == 60


def test_fields_that_show_nothing_count_as_blank_whatever_the_scanner_said(assay: Assay) -> None:
    verdict = judge(assay, [make.field(k, quality=make.EMPTY) for k in range(60)])
    assert verdict.category == UNSATISFACTORY
    assert "looks empty" in verdict.reasons[0]


def test_almost_empty_slide_with_specks_of_dust(assay: Assay) -> None:
    verdict = judge(assay, make.fields(4, blank=56))
    assert verdict.category == UNSATISFACTORY
    assert "almost empty: 56 of 60 fields" in verdict.reasons[0]


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Outcome.FAILED, "obscured by ink"),
        (Outcome.FAILED, "obscured_by_ink"),
        (Outcome.BLANK, "Ink"),
        (Outcome.FAILED, "not focused: flat"),
        (Outcome.USABLE, ""),
    ],
)
def test_slide_of_ink_only(assay: Assay, outcome: Outcome, reason: str) -> None:
    verdict = judge(assay, [make.field(k, outcome, reason=reason, quality=make.INK) for k in range(60)])
    assert verdict.category == UNSATISFACTORY
    assert verdict.reasons[0].startswith("Ink, thick blood or another dark layer covers the slide: 60 of 60 fields")
    assert verdict.figures["fields_obscured"] == 60


def test_ink_is_recognised_by_the_reason_alone(assay: Assay) -> None:
    fields = [make.field(k, Outcome.FAILED, reason="obscured by ink", quality=None) for k in range(60)]
    assert "Ink" in judge(assay, fields).reasons[0]


@pytest.mark.parametrize("words", ["inkling", "camera link lost", "blinking lamp"])
def test_ink_inside_another_word_is_no_ink(assay: Assay, words: str) -> None:
    fields = [make.field(k, Outcome.FAILED, reason=words, quality=None) for k in range(60)]
    verdict = judge(assay, fields)
    assert not any(reason.startswith("Ink") for reason in verdict.reasons)
    assert f"60 × {words}" in verdict.reasons[0]


def test_nothing_could_be_focused(assay: Assay) -> None:
    verdict = judge(assay, make.fields(0, failed=50, blank=10))
    assert verdict.category == UNSATISFACTORY
    assert verdict.reasons[0] == (
        "None of 50 fields with specimen could be read (50 × not focused: flat). The other 10 are blank."
    )


def test_ink_over_part_of_the_slide_takes_its_area_away(assay: Assay) -> None:
    fields = [*make.fields(50, benign=9_000), *(make.field(50 + k, quality=make.INK, afb=9) for k in range(10))]
    verdict = judge(assay, fields)
    assert verdict.area_mm2 == pytest.approx(10.0)
    assert verdict.satisfactory
    assert all(count.n == 0 for label, count in verdict.counts.items() if label in {"afb", "malignant"})


def test_one_field_is_too_little_for_an_effusion() -> None:
    serous = load_assay("serous")
    verdict = judge(serous, make.fields(1, benign=300))
    assert verdict.category == UNSATISFACTORY
    assert "Only 1 field could be read; at least 2 are needed." in verdict.reasons


def test_fields_without_quality_figures_are_taken_as_recorded(assay: Assay) -> None:
    fields = [make.field(k, quality=None, benign=100) for k in range(60)]
    assert judge(assay, fields).satisfactory


def test_the_reason_is_the_wording_of_a_suggestion(assay: Assay) -> None:
    verdict = judge(assay, make.fields(0, blank=60))
    assert verdict.title == "AI-assisted suggestion: unsatisfactory, the slide could not be judged"
    assert "research use only" in verdict.reasons[-1]


@pytest.mark.parametrize(
    ("backend", "told"), [("onnx_cpu: onnxruntime", True), ("openvino_cpu: 2026.4", True), ("tensorrt: 10.3.0", False)]
)
def test_a_verdict_says_where_no_gpu_has_scored(assay: Assay, backend: str, *, told: bool) -> None:
    read = make.fields(60, nucleated=6000)
    run = replace(make.run(assay.name, 60), backend=backend)
    verdict = form_verdict(assay, run, read, [], point_of(assay))
    assert ("cpu_runtime" in verdict.flags) is told
    assert any("not on a GPU" in reason for reason in verdict.reasons) is told
