"""A verdict survives JSON unchanged; what is no verdict is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.assays import load_assay
from appliance.verdict import Verdict, check_operating_point, form_verdict, verdict_from_json, verdict_json
from engines.errors import BadPackage
from engines.scorer import OperatingPoint

from . import slide_records as make


def some_verdict(n: int, usable: int) -> Verdict:
    run = make.run("afb", max(1, usable))
    return form_verdict(load_assay("afb"), run, make.fields(usable, afb=n) if usable else [], [], make.afb_point())


@settings(max_examples=60, deadline=None)
@given(n=st.integers(0, 3000), usable=st.integers(0, 80))
def test_round_trip(n: int, usable: int) -> None:
    verdict = some_verdict(n, usable)
    text = json.dumps(verdict_json(verdict), allow_nan=False)
    assert verdict_from_json(json.loads(text)) == verdict


def test_round_trip_of_a_serous_verdict() -> None:
    run = make.run("serous", 60, volume_ml="20")
    verdict = form_verdict(
        load_assay("serous"), run, make.fields(60, malignant=90, benign=5000), [], make.serous_point()
    )
    assert verdict_from_json(json.loads(json.dumps(verdict_json(verdict)))) == verdict


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"catgory": "3+"}, "catgory"),
        ({"category": 3}, "category"),
        ({"area_mm2": "wide"}, "area_mm2"),
        ({"area_mm2": float("nan")}, "area_mm2"),
        ({"provisional": "yes"}, "provisional"),
        ({"counts": {"afb": {"n": 1}}}, "counts.afb"),
        ({"counts": {"afb": {"n": 1, "low": 0.0, "high": 5.0, "per_mm2": 1.0, "more": 1}}}, "counts"),
        ({"fields": {"planned": "60", "captured": 1, "usable": 1, "blank": 0, "failed": 0}}, "fields"),
    ],
)
def test_what_is_no_verdict_is_refused(change: dict[str, object], named: str) -> None:
    data = {**verdict_json(some_verdict(5, 20)), **change}
    with pytest.raises(ValueError, match=named):
        verdict_from_json(data)


def test_a_missing_part_is_refused() -> None:
    data = verdict_json(some_verdict(5, 20))
    del data["fields"]
    with pytest.raises(ValueError, match="fields"):
        verdict_from_json(data)


@pytest.mark.parametrize(
    ("assay", "point", "words"),
    [
        ("afb", OperatingPoint("p", 0.5, 0.0, 0.0, 0.0, {}, ""), "sensitivity 0.0"),
        ("serous", OperatingPoint("p", 0.5, 0.8, 0.0, 0.001, {"t1": 0.5}, ""), "lacks the cut-offs t2, t3"),
        ("serous", OperatingPoint("p", 0.5, 0.8, 0, 0.001, {"t1": 0.5, "t2": 0.4, "t3": 0.9}, ""), "must ascend"),
        ("serous", OperatingPoint("p", 0.5, 0.8, 0, 0.001, {"t1": 0.5, "t2": 0.6, "t3": 1.5}, ""), "must ascend"),
    ],
)
def test_an_operating_point_that_cannot_grade_is_refused(assay: str, point: OperatingPoint, words: str) -> None:
    with pytest.raises(BadPackage, match=words):
        check_operating_point(load_assay(assay), point)
    with pytest.raises(BadPackage, match=words):
        form_verdict(load_assay(assay), make.run(assay, 1), make.fields(1), [], point)
