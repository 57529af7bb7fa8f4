"""The plan covers what it should, replays exactly, and never leaves the stage."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import PlanError
from appliance.scan.plan import Plan, Region, Shape, check_limits, make_plan

CYTOSPIN = Region(38_000, 13_000, 6_000, 6_000, Shape.ELLIPSE)
FIELD = (564.9, 353.9)


def corners_inside(plan: Plan) -> bool:
    region = plan.region
    for field in plan.fields:
        u = (abs(field.x_um - region.x_um) + plan.field_width_um / 2) * 2 / region.width_um
        v = (abs(field.y_um - region.y_um) + plan.field_height_um / 2) * 2 / region.height_um
        inside = u * u + v * v <= 1.0001 if region.shape is Shape.ELLIPSE else max(u, v) <= 1.0001
        if not inside:
            return False
    return True


def test_a_full_cytospin_is_covered_without_overlap() -> None:
    plan = make_plan("serous", CYTOSPIN, *FIELD)
    area = len(plan.fields) * FIELD[0] * FIELD[1]
    assert 0.7 < area / (math.pi * 3000**2) <= 1.0
    places = [(f.x_um, f.y_um) for f in plan.fields]
    assert len(set(places)) == len(places)
    assert corners_inside(plan)


def test_order_is_serpentine() -> None:
    plan = make_plan("afb", Region(0, 0, 5_000, 2_000), *FIELD)
    rows: dict[float, list[float]] = {}
    for field in plan.fields:
        rows.setdefault(field.y_um, []).append(field.x_um)
    directions = [xs == sorted(xs) for xs in rows.values()]
    assert directions == [n % 2 == 0 for n in range(len(directions))]
    assert list(rows) == sorted(rows)
    assert [f.index for f in plan.fields] == list(range(len(plan.fields)))


@settings(max_examples=60, deadline=None)
@given(
    width=st.floats(1_000, 30_000),
    height=st.floats(1_000, 15_000),
    shape=st.sampled_from(list(Shape)),
    wanted=st.integers(1, 300),
)
def test_as_many_fields_as_asked_or_as_fit(width: float, height: float, shape: Shape, wanted: int) -> None:
    region = Region(38_000, 13_000, width, height, shape)
    full = make_plan("serous", region, *FIELD)
    plan = make_plan("serous", region, *FIELD, fields=wanted)
    assert len(plan.fields) == min(wanted, len(full.fields))
    assert corners_inside(plan)


def test_few_fields_are_spread_over_the_region() -> None:
    plan = make_plan("serous", CYTOSPIN, *FIELD, fields=30)
    reach = max(abs(f.x_um - CYTOSPIN.x_um) for f in plan.fields)
    assert reach > 1_500


def test_the_same_plan_has_the_same_hash_and_another_has_not() -> None:
    first = make_plan("serous", CYTOSPIN, *FIELD, fields=20)
    again = make_plan("serous", CYTOSPIN, *FIELD, fields=20)
    other = make_plan("serous", CYTOSPIN, *FIELD, fields=21)
    assert first.sha256 == again.sha256 != other.sha256
    assert len(json.loads(first.to_json())["fields"]) == 20


def test_a_region_smaller_than_a_field_is_refused() -> None:
    with pytest.raises(PlanError, match="holds no whole field"):
        make_plan("serous", Region(0, 0, 300, 300), *FIELD)


def test_a_plan_outside_the_limits_is_refused_naming_axis_and_figures() -> None:
    plan = make_plan("serous", CYTOSPIN, *FIELD)
    check_limits(plan, {"x": (0, 80_000), "y": (0, 30_000)})
    with pytest.raises(PlanError, match=r"needs Y from \d+ to \d+ µm.*limits are 0 to 14000 µm"):
        check_limits(plan, {"x": (0, 80_000), "y": (0, 14_000)})
