"""JSON and page are of the same figures."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from appliance.device_report.engine import build_section
from appliance.device_report.page import page, shown
from appliance.device_report.report import DeviceReport
from appliance.device_report.section import DEVICE, SPEED, Check, Fact, Section, Table, Value, not_passed
from appliance.device_report.speed import StageTimes, speed_of, speed_section
from engines.building.record import BuildRecord
from engines.cuda.probe import Gpu
from engines.tensorrt.inspection import LayerSummary
from engines.tensorrt.signature import FrameSize

SPEEDS = speed_of([0.0123], [0.0134], [StageTimes(0.004, 0.0121, 0.001, 0.002)])
TABLE = Table("rows", "Rows", {"name": "Name", "x_ms": "X, ms"}, (("a", 1.23456), ("b", float("nan"))))
DEVICE_SECTION = Section(
    DEVICE,
    (Check(True, "All <well> & good."),),
    (Fact("t", "Temperature", 61.25, "°C"), Fact("m", "Mode", None)),
    (TABLE,),
)
REPORT = DeviceReport(
    made_at=datetime(2026, 11, 28, 9, 30, tzinfo=timezone.utc),
    app_version="0.1.0",
    package="serous-cytology 0.5.0",
    runtime="TensorRT 10.3.0",
    no_gpu="",
    speed=SPEEDS,
    sections=(DEVICE_SECTION, speed_section(SPEEDS)),
)
RECORD = BuildRecord(
    package="serous-cytology",
    version="0.5.0",
    onnx_sha256="0" * 64,
    frame=FrameSize(1208, 1928),
    gpu=Gpu("Orin", "8.7", "12.6"),
    tensorrt="10.3.0",
    options={},
    seconds=240.0,
    layers=LayerSummary(60, 41),
    messages=("a warning",),
    plan_sha256="1" * 64,
    timing_cache_sha256=None,
)


def told(report: DeviceReport) -> dict[str, object]:
    def refuse(constant: str) -> float:
        raise AssertionError(constant)

    found: dict[str, object] = json.loads(report.to_json(), parse_constant=refuse)
    return found


def test_json_is_strict_and_what_is_no_number_is_null() -> None:
    sections = told(REPORT)["sections"]
    assert isinstance(sections, dict)
    assert sections["device"]["t"] == 61.25
    assert sections["device"]["m"] is None
    assert sections["device"]["rows"] == [{"name": "a", "x_ms": 1.23456}, {"name": "b", "x_ms": None}]


def test_the_page_has_every_figure_of_the_json() -> None:
    html = page(REPORT)
    for section in REPORT.sections:
        for fact in section.facts:
            assert re.search(f"<dt>{re.escape(fact.label)}</dt><dd>{re.escape(shown(fact.value))}", html), fact
        for table in section.tables:
            for value in (value for row in table.rows for value in row):
                assert f">{shown(value)}</td>" in html
    assert "<strong>0.918</strong>" in html
    assert told(REPORT)["headline"] == {"end_to_end_vs_engine_only": pytest.approx(0.9179, abs=1e-4), "target": 0.9}


def test_the_page_needs_nothing_else_and_shows_text_as_text() -> None:
    html = page(REPORT)
    assert "All &lt;well&gt; &amp; good." in html
    assert not re.search(r"<script|src=|https?:|url\(", html)


def test_all_sections_have_to_pass() -> None:
    assert REPORT.passed
    assert told(REPORT)["passed"] is True
    failed = replace(REPORT, sections=(*REPORT.sections, not_passed(SPEED, "Not run.")))
    assert not failed.passed
    assert "<title>Not passed" in page(failed)
    assert not replace(REPORT, sections=()).passed


def test_a_reading_without_a_gpu_is_said_at_the_top_of_the_page() -> None:
    html = page(replace(REPORT, no_gpu="There is no CUDA driver here."))
    assert html.index("No GPU has read here.") < html.index("<main>")
    assert "No GPU has read here." not in page(REPORT)
    assert told(replace(REPORT, no_gpu="None."))["on_gpu"] is False


def test_without_speed_the_headline_is_null_and_said_not_to_be_measured() -> None:
    report = replace(REPORT, speed=None, runtime=None)
    assert told(report)["headline"] == {"end_to_end_vs_engine_only": None, "target": 0.9}
    assert "not measured" in page(report)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "not known"),
        (True, "yes"),
        (4, "4"),
        (0.0, "0.00"),
        (1234.5, "1234"),
        (61.25, "61.2"),
        (-0.0123, "−0.0123"),
    ],
)
def test_values_are_shown_with_three_digits(value: Value, text: str) -> None:
    assert shown(value) == text


def test_a_build_tells_its_layers_and_what_tensorrt_said() -> None:
    section = build_section(RECORD)
    assert section.passed
    assert {fact.key: fact.value for fact in section.facts}.items() >= {"layers_int8": 41, "seconds": 240.0}.items()
    assert section.tables[0].rows == (("a warning",),)


def test_an_engine_without_a_layer_in_int8_is_not_passed() -> None:
    assert not build_section(RECORD.model_copy(update={"layers": LayerSummary(60, 0)})).passed
