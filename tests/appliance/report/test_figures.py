"""Numbers behind the drawings: plane, depth of field, round steps, words."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.report import text
from appliance.report.axes import nice_above, nice_below, ticks
from appliance.report.focus_map import focus_map_of
from appliance.report.plane import depth_of_field_um, fit_plane
from appliance.report.quality import quality_of
from appliance.report.slide_map import frame_of

from . import samples


def test_plane_is_found_in_spite_of_wild_fields() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.uniform(30000, 46000, 80), rng.uniform(8000, 18000, 80)
    z = 3000 + 0.0007 * (x - 38000) - 0.0005 * (y - 13000) + rng.normal(0, 0.1, 80)
    z[:5] += 40.0
    plane = fit_plane(x, y, z)
    assert plane is not None
    assert plane.slope_x * 1000 == pytest.approx(0.7, abs=0.03)
    assert plane.slope_y * 1000 == pytest.approx(-0.5, abs=0.03)
    assert plane.tilt_mrad == pytest.approx(math.hypot(0.7, 0.5), abs=0.04)
    assert np.median(np.abs(plane.residuals_um[5:])) < 0.2


def test_one_row_of_fields_has_no_slope_across() -> None:
    x = np.linspace(0, 10000, 12)
    plane = fit_plane(x, np.full(12, 500.0), 10 + 0.001 * x)
    assert plane is not None
    assert plane.slope_x == pytest.approx(0.001)
    assert plane.slope_y == 0
    assert fit_plane(x[:3], x[:3], x[:3]) is None


@pytest.mark.parametrize(("na", "scale", "expected"), [(0.5, 0.293, 2.79), (0.75, 0.1465, 1.17), (0.4, 0.293, 4.17)])
def test_depth_of_field(na: float, scale: float, expected: float) -> None:
    assert depth_of_field_um(na, scale) == pytest.approx(expected, abs=0.006)


def test_focus_map_leaves_out_fields_without_own_focus() -> None:
    data = samples.serous(count=200, columns=20)
    frame = frame_of(data.run, data.fields)
    assert frame is not None
    focus = focus_map_of(frame, data.fields)
    assert focus is not None
    assert focus.points == data.verdict.fields.usable
    assert sum(path.count("M") for _, path in focus.layers) == focus.points
    assert focus.missing.count("M") == len(data.fields) - focus.points
    assert focus.plane.tilt_mrad == pytest.approx(0.72, abs=0.15)


def test_quality_counts_blank_fields_out_of_focus_share() -> None:
    data = samples.unsatisfactory()
    quality = quality_of(data.run, data.fields)
    assert quality.focus.focusable == data.verdict.fields.failed
    assert quality.focus.confident_share == 0
    assert quality.background_rgb is None
    assert quality_of(data.run, []).focus.confident_share is None


@given(st.floats(1e-6, 1e9))
def test_round_steps_embrace_the_limit(limit: float) -> None:
    below, above = nice_below(limit), nice_above(limit)
    assert limit / 2.51 <= below <= limit * (1 + 1e-6)
    assert limit * (1 - 1e-6) <= above <= limit * 2.51


@given(st.floats(-1e4, 1e4), st.floats(0.01, 1e4))
def test_ticks_lie_inside_the_range(low: float, span: float) -> None:
    marks = ticks(low, low + span, 5)
    assert 1 <= len(marks) <= 6
    assert all(low - 1e-6 * span <= m <= low + span * (1 + 1e-6) for m in marks)


def test_numbers_as_read() -> None:
    assert [text.number(v) for v in (0.0, 3.0, 12345.6, -0.0456, math.inf)] == [
        "0",
        "3.00",
        "12\u202f346",
        "−0.0456",
        "∞",
    ]
    assert text.number(math.nan) == text.number(None) == "not known"
    assert text.number(1e-12) == "below 0.000001"
    assert [text.short(v) for v in (0.5, 0.1465, 10.0, 100.0, 1234.0)] == ["0.5", "0.1465", "10", "100", "1\u202f234"]
    assert [text.signed(v, 1) for v in (0.42, -0.42, -0.01)] == ["+0.4", "−0.4", "0.0"]
    assert [text.percent(v) for v in (1.0, 0.952, 0.0031, 0.0)] == ["100 %", "95.2 %", "0.31 %", "0 %"]


def test_names_carry_their_units() -> None:
    assert text.figure("area_mm2", 1.5) == ("Area", "1.5", "mm²")
    assert text.figure("afb_per_100_hpf", 53.0) == ("AFB", "53", "per 100 HPF")
    assert text.figure("usable_share", 0.5) == ("Usable share", "50", "%")
    assert text.figure("score", 0.25) == ("Score", "0.25", "")
    assert text.words("focus_not_found") == "Focus not found"
    assert text.ranges([9, 3, 4, 5]) == "3–5, 9"


def test_times_are_utc() -> None:
    east = datetime(2026, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert text.when(east) == "2025-12-31 23:30 UTC"


@given(st.text())
def test_css_strings_hold_no_special_character(raw: str) -> None:
    literal = text.css_string(raw)[1:-1]
    assert set(literal) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789\\ ")
