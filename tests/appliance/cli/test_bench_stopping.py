"""The bench of sequential stopping on a few slides, and its figures on slides whose answer is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.assays import AfbGrading, load_assay
from appliance.cli.app import run
from appliance.cli.bench_figures import exact_share
from appliance.cli.bench_stopping import StoppedSlide, summary

SLIDE = StoppedSlide(2.0, "3+", "3+", "3+", stopped=True, visited=50, range_um=500.0, unevenness_cv=0.5)


def figures(tmp_path: Path, slides: int, seed: int) -> dict[str, Any]:
    path = tmp_path / "stopping.json"
    assert run(["bench", "stopping", "--slides", str(slides), "--seed", str(seed), "--json", str(path)]) == 0
    read: dict[str, Any] = json.loads(path.read_text())
    return read


def test_forty_slides_end_early_only_where_the_rule_allows_it(tmp_path: Path) -> None:
    read = figures(tmp_path, 40, 3)
    assert read["rule"]["grade"] == "3+"
    for scale, planned in (("900x", 189), ("450x", 48)):
        found = read[scale]
        grades = found["by_true_grade"]
        assert found["planned_fields"] == planned
        assert sum(group["slides"] for group in grades.values()) == 40
        assert sum(group["slides"] for group in found["by_times_limit"].values()) == 40
        assert grades["3+"]["stopped"][0] > 0.3
        assert found["looks"][0] <= grades["3+"]["mean_fields_visited"] < planned
        for grade in ("scanty", "1+", "2+"):
            assert grades[grade]["stopped"][0] == 0.0
            assert grades[grade]["mean_fields_visited"] == planned
        assert found["stopped_and_not_said_so"] == 0
        assert 0.0 < found["fields_saved"] < 1.0
        assert found["wrong"] == []


def test_the_same_seed_gives_the_same_figures_and_another_does_not(tmp_path: Path) -> None:
    first = figures(tmp_path, 8, 1)
    assert figures(tmp_path, 8, 1) == first
    assert figures(tmp_path, 8, 2)["900x"]["by_true_grade"] != first["900x"]["by_true_grade"]


def test_wrong_stops_are_counted_by_the_whole_plan_and_by_the_truth_and_listed() -> None:
    grading = load_assay("afb").grading
    assert isinstance(grading, AfbGrading)
    low = replace(SLIDE, times_limit=0.9, truth="2+", whole="2+")
    read = [SLIDE, SLIDE, replace(SLIDE, whole="2+"), low, replace(low, stopped=False, visited=189)]
    found: dict[str, Any] = summary(read, 189, grading.tables[0])
    assert found["stopped"] == 4
    assert found["wrong_by_whole_plan"][0] == 0.5
    assert found["wrong_by_truth"][0] == 0.25
    assert found["stopped_of_lower_grades"][0] == 0.5
    assert found["fields_saved"] == pytest.approx(1 - (4 * 50 + 189) / (5 * 189))
    assert found["by_true_grade"]["2+"]["mean_fields_visited"] == 119.5
    assert found["by_true_grade"]["1+"] == {"slides": 0, "stopped": None, "mean_fields_visited": None}
    assert [slide["truth"] for slide in found["wrong"]] == ["3+", "2+"]


def test_an_exact_share_has_width_where_nothing_was_seen() -> None:
    """None of 10: the upper bound is 1 - 0.025^(1/10)."""
    assert exact_share(0, 10) == pytest.approx([0.0, 0.0, 1 - 0.025**0.1])
    assert exact_share(10, 10) == pytest.approx([1.0, 0.025**0.1, 1.0])
    assert exact_share(0, 0) is None
