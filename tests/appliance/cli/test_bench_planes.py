"""`bench planes`: figures from known slides, whose findings are laid over known balls, and a small whole run."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

import pytest

from appliance.assays import load_assay
from appliance.assays.model import SecondPlaneRule
from appliance.cli.app import run
from appliance.cli.bench_planes import Ball, Reading, Visit, Watch, balls_of, bench_planes, figures, replayed_s
from appliance.cli.exits import Exit
from appliance.errors import SettingsError
from appliance.records import FieldRecord, Finding, FocusResult, Outcome, SecondPlane, SlideRun
from appliance.scan.events import FieldDone, SecondPlaneDone
from appliance.scan.rig import Meter
from appliance.settings import load_settings
from drivers.twin.settings import load_settings as twin_settings
from drivers.twin.slide import SceneObject
from drivers.twin.virtual import Truth

RULE = SecondPlaneRule(from_probability=0.2, min_size_um=24, above_um=9, same_within_um=8, max_share=0.25)
NOW = datetime(2026, 11, 27, tzinfo=timezone.utc)
SMALL = ["camera.width_px=448", "camera.height_px=416", "slide.clutter.dust_per_mm2=0"]


def reading(malignant: float | None, findings: tuple[int, int], *balls: Ball) -> Reading:
    both = {"one": findings[0], "two": findings[1]}
    return Reading(
        1, malignant, 10, 2, {"one": 15, "two": 17}, {"one": 5.0, "two": 5.6}, both,
        {"one": "NFM", "two": "AUS"}, {"one": 0.1, "two": 0.2}, list(balls),
    )  # fmt: skip


def test_figures_are_per_field_and_balls_count_by_the_better_plane() -> None:
    balls = (
        Ball(8.0, 40.0, 0.3, 0.8),
        Ball(9.0, 40.0, 0.6, None),
        Ball(9.0, 30.0, 0.7, 0.2),
        Ball(7.0, 30.0, 0.0, None),
    )
    found = cast("dict[str, Any]", figures([reading(None, (1, 2)), reading(0.1, (5, 9), *balls)], RULE, 0.5))
    assert found["second_planes_per_field"] == pytest.approx(0.2)
    assert found["exposures_per_field"] == {"one": 1.5, "two": 1.7}
    assert found["seconds_per_field"] == {"one": pytest.approx(0.5), "two": pytest.approx(0.56)}
    assert found["false_findings"] == {"one": 1, "two": 2}
    assert found["balls"]["found"]["one"][0] == pytest.approx(0.5)
    assert found["balls"]["found"]["two"][0] == pytest.approx(0.75)
    assert found["balls"]["mean_probability"] == {"one": pytest.approx(0.4), "two": pytest.approx(0.525)}
    assert found["balls_seen_twice"]["balls"] == 2
    json.dumps(found)


def test_without_balls_there_are_no_shares() -> None:
    found = cast("dict[str, Any]", figures([reading(None, (0, 0))], RULE, 0.5))
    assert found["balls"] == {
        "balls": 0, "mean_probability": {"one": None, "two": None}, "found": {"one": None, "two": None},
    }  # fmt: skip


def test_findings_are_laid_over_the_balls_by_where_the_frames_truly_were() -> None:
    """The frame was taken 6 µm off its planned place, the second one 3 µm off."""
    slide = SlideRun("r", "A", "1", 1, "serous", 450, 0.5, 0.5, 500.0, 400.0, 1, "", "", "", "", "", "", "", NOW)
    ball = SceneObject("cluster", True, 1_100.0, 2_050.0, -9.0, 40.0, 30.0)
    flat, benign = replace(ball, z_um=-1.0), replace(ball, malignant=False)
    truth = Truth(3_000.5, 3_000.5, False, 1_006.0, 2_000.0, 3_000.0, (ball, flat, benign))
    middle = (499.5, 399.5)

    def finding(probability: float, x_um: float, y_um: float, z_um: float) -> Finding:
        x_px, y_px = middle[0] + x_um / 0.5, middle[1] + y_um / 0.5
        return Finding(0, "malignant", probability, 0.0, 0.0, z_um, x_px, y_px, 48.0, 48.0)

    focus = FocusResult(3_000.0, 0.2, 0.9, "judged", 1)
    record = FieldRecord(0, 1_000.0, 2_000.0, Outcome.USABLE, "", focus, None, {}, {}, NOW)
    first = (finding(0.4, 94.0, 50.0, 3_000.0), finding(0.9, 60.0, 50.0, 3_000.0))
    second = (finding(0.8, 120.0, 50.0, 2_991.0),)
    watch = Watch()
    watch.field_done(FieldDone(record, first, 1, Meter()))
    again = replace(record, second=SecondPlane(2_991.0, "", 1, {}))
    watch.second_plane_done(SecondPlaneDone(record, again, second, 2, Meter()))
    truths = {1: truth, 2: replace(truth, x_um=1_003.0)}
    assert balls_of(watch, truths, slide, ("malignant",)) == [Ball(9.5, 40.0, 0.4, 0.8)]
    assert watch.visits == [Visit(1_000.0, 2_000.0, 3_000.0, False), Visit(1_000.0, 2_000.0, 2_991.0, True)]


def test_a_second_plane_costs_the_way_there_and_its_frame() -> None:
    twin = twin_settings(None, SMALL)
    first = [Visit(37_000.0 + 500.0 * n, 13_000.0, 3_000.0, again=False) for n in range(4)]
    again = [*first, Visit(37_000.0, 13_000.0, 2_991.0, again=True)]
    more_s = replayed_s(twin, again) - replayed_s(twin, first)
    frame_s = (twin.camera.nominal_exposure_ms + twin.camera.readout_ms) / 1e3
    assert frame_s + 2 * (1_500 / 500_000) ** 0.5 < more_s < 1.0


def test_a_small_run_counts_every_exposure(tmp_path: Path) -> None:
    """All fields are asked for: any weak finding on any speck of stain will do."""
    serous = load_assay("serous")
    eager = RULE.model_copy(update={"from_probability": 0.2, "min_size_um": 0.5, "max_share": 0.5})
    reading_of = serous.reading.model_copy(update={"second_plane": eager})
    found = cast(
        "dict[str, Any]",
        bench_planes(
            serous.model_copy(update={"reading": reading_of}), load_settings(), 2, 4, 7_101,
            malignant=[0.3], curve=None, more=SMALL,
        ),
    )  # fmt: skip
    assert [r["malignant"] for r in found["readings"]] == [None, 0.3]
    assert sum(r["second_planes"] for r in found["readings"]) >= 1
    for one in found["readings"]:
        assert one["exposures"]["two"] - one["exposures"]["one"] == one["second_planes"] <= 2
        assert (one["seconds"]["two"] > one["seconds"]["one"]) == (one["second_planes"] > 0)


def test_an_assay_with_one_plane_or_a_curve_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="reads one plane"):
        bench_planes(load_assay("afb"), load_settings(), 1, 2, 1, malignant=[0.1], curve=None)
    assert run(["bench", "planes", "--curve", str(tmp_path / "none.npz")]) == Exit.SETTINGS
