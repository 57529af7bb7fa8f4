"""`bench focus`: figures from visits, and a whole small run through the twin in simulated time."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from appliance.cli import bench_focus as bench
from appliance.cli.app import run
from appliance.cli.bench_focus import Order
from appliance.cli.calibrate_focus import Calibration
from appliance.cli.focus_figures import Spent, Visit, figures, ideal_seconds
from appliance.cli.focus_methods.registry import PEERS, NotInstalled
from appliance.cli.focus_plot import _NAMES, draw
from appliance.scan.focus.axial import Stack, learn_curve
from appliance.scan.focus.bands import FEATURES
from appliance.scan.focus.calibrate import AxialQuality
from appliance.scan.focus.curve_file import save_curve
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.plan import PlannedField
from appliance.settings import FocusSection
from drivers.stage import Position, standard_stage
from drivers.stage.motion import Trapezoid

DOF_UM = 2.0
SPENT = Spent(exposures=12, total_s=4.0, waited_s=3.0, host_s=1.0, ideal_s=1.0)
KEYS = {
    "fields", "exposures_per_field", "mean_abs_um", "p95_um", "within_half_dof", "unflagged_out_of_focus",
    "blank_chased", "seconds_per_field",
}  # fmt: skip
SMALL = ("camera.width_px=448", "camera.height_px=416", "slide.clutter.dust_per_mm2=0")


def test_residuals_are_those_of_kept_frames_of_fields_with_specimen() -> None:
    visits = [Visit(-0.5, False, True, 1), Visit(1.5, False, True, 2), Visit(9.0, True, False, 2)]
    found = figures(visits, SPENT, DOF_UM)
    assert found["mean_abs_um"] == pytest.approx(1.0)
    assert found["max_um"] == pytest.approx(1.5)
    assert (found["fields"], found["non_blank"], found["kept"]) == (3, 2, 2)
    assert found["within_half_dof"] == pytest.approx(0.5)
    assert found["exposures_per_field"] == pytest.approx(4.0)
    assert found["seconds_per_field"] == pytest.approx(4.0 / 3)
    assert found["efficiency"] == pytest.approx(0.25)


def test_a_field_without_a_kept_frame_is_outside_but_not_unflagged() -> None:
    visits = [Visit(0.0, False, True, 1), Visit(None, False, False, 6), Visit(3.0, False, False, 6)]
    found = figures(visits, SPENT, DOF_UM)
    assert (found["within_half_dof"], found["kept_within_half_dof"]) == (pytest.approx(1 / 3), 0.5)
    assert found["unflagged_out_of_focus"] == 0.0
    assert figures([replace(visits[2], in_focus=True)], SPENT, DOF_UM)["unflagged_out_of_focus"] == 1.0


def test_heights_expected_beforehand_count_where_a_frame_was_kept_and_something_was_expected() -> None:
    visits = [Visit(0.1, False, True, 1, expected_um=off_um) for off_um in (0.9, -0.9, 1.1, None)]
    blank = Visit(None, True, False, 1, expected_um=5.0)
    assert figures([*visits, blank], SPENT, DOF_UM)["expected_within_half_dof"] == pytest.approx(2 / 3)
    assert figures([blank], SPENT, DOF_UM)["expected_within_half_dof"] is None


def test_a_field_of_which_nobody_can_say_whether_it_is_blank_is_left_out() -> None:
    doubtful = [Visit(None, False, False, 1, at_edge=True), Visit(9.0, True, True, 5, at_edge=True)]
    found = figures([Visit(0.0, False, True, 1), *doubtful], SPENT, DOF_UM)
    assert (found["fields"], found["non_blank"], found["at_edge"]) == (3, 1, 2)
    assert (found["within_half_dof"], found["unflagged_out_of_focus"], found["blank_chased"]) == (1.0, 0.0, 0)


@pytest.mark.parametrize(("in_focus", "exposures", "chased"), [(False, 3, 0), (False, 4, 1), (True, 1, 1)])
def test_a_blank_field_is_chased_by_exposures_or_by_calling_it_focused(
    in_focus: bool, exposures: int, chased: int
) -> None:
    found = figures([Visit(None, True, in_focus, exposures)], SPENT, DOF_UM)
    assert found["blank_chased"] == chased
    assert found["within_half_dof"] is None
    assert found["mean_abs_um"] is None


def test_the_ideal_is_the_ways_their_settling_and_one_frame_each() -> None:
    stage = standard_stage("none")
    profiles = {name: Trapezoid(25_000.0, 500_000.0) for name in ("x", "y", "z")}
    fields = [PlannedField(0, 10_000.0, 5_000.0), PlannedField(1, 10_500.0, 5_000.0)]
    across_s, step_s = 2 * (500 / 500_000) ** 0.5 + 0.08, 2 * (100 / 500_000) ** 0.5 + 0.02
    there = Position(10_000.0, 5_000.0, 3_000.0)
    ideal = partial(ideal_seconds, stage=stage, profiles=cast("Any", profiles), frame_s=0.03)
    assert ideal(there, 3_000.0, fields) == pytest.approx(2 * 0.03 + across_s)
    assert ideal(there, 3_000.0, fields[:1]) == pytest.approx(0.03)
    assert ideal(there, 3_100.0, fields[:1]) == pytest.approx(0.03 + step_s)


def strange_curve(path: Path) -> Path:
    """A curve to which no frame is familiar, so that every field is bracketed."""
    rng = np.random.default_rng(1)
    optics = FocusOptics(0.5, 0.293)
    offsets = np.arange(-4.0, 4.1, 0.25) * optics.dof_um
    stacks = [Stack(offsets, 40.0 + rng.standard_normal((offsets.size, FEATURES))) for _ in range(6)]
    save_curve(path, learn_curve(stacks, optics))
    return path


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, dict[str, Any], str]:
    """The command itself on three small fields, one package of the others missing."""

    def absent() -> Any:  # noqa: ANN401
        raise NotInstalled("No module named 'pylabrobot'; `make bench-focus` installs what is missing")

    folder = tmp_path_factory.mktemp("focus")
    few = {name: PEERS[name] for name in ("exhaustive_21", "squid", "openflexure")} | {"pylabrobot_golden": absent}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "PEERS", few)
        code = run(
            ["bench", "focus", "--slides", "1", "--fields", "3", "--seed", "31", "--na", "0.5"]
            + [part for setting in SMALL for part in ("--twin-set", setting)]
            + ["--curve", str(strange_curve(folder / "curve.npz"))]
            + ["--json", str(folder / "focus.json"), "--plot", str(folder / "focus.svg")]
        )
    return code, json.loads((folder / "focus.json").read_text()), (folder / "focus.svg").read_text()


def test_all_methods_are_measured_over_the_same_fields(small_run: tuple[int, dict[str, Any], str]) -> None:
    code, found, _ = small_run
    assert code == 0
    assert found["na"] == 0.5
    assert found["dof_um"] == pytest.approx(2.786)
    assert found["curve"] == {"from": "file"}
    own = ("ours", "ours_exact", "ours_uncalibrated")
    rows = {**{name: found[name] for name in own}, **found["peers"]}
    reason = rows.pop("pylabrobot_golden")["skipped"]
    assert "make bench-focus" in reason
    assert len(rows) == 6
    assert len({(row["fields"], row["non_blank"]) for row in rows.values()}) == 1
    for name, row in rows.items():
        assert set(row) >= KEYS, name
        assert row["fields"] == 3
        assert 0 < row["efficiency"] < 1
        assert row["waited_seconds_per_field"] >= row["exposures_per_field"] * 0.005
    assert rows["exhaustive_21"]["exposures_per_field"] == 21
    assert rows["exhaustive_21"]["within_half_dof"] == 1.0
    assert rows["exhaustive_21"]["mean_abs_um"] < 0.25 * found["dof_um"] + 0.3
    assert rows["ours_uncalibrated"]["within_half_dof"] == 1.0
    assert rows["squid"]["exposures_per_field"] <= (10 + 3) / 3
    assert rows["exhaustive_21"]["waited_seconds_per_field"] > rows["squid"]["waited_seconds_per_field"]


def test_the_plot_holds_a_point_and_a_name_for_each_method(small_run: tuple[int, dict[str, Any], str]) -> None:
    _, found, plot = small_run
    dots = re.findall(r'<circle cx="([\d.-]+)" cy="([\d.-]+)"', plot)
    assert len(dots) == 3 * 6
    assert plot.count("Squid-style") == 1
    assert "PyLabRobot" not in plot
    width, height = (float(value) for value in re.findall(r'viewBox="0 0 (\d+) (\d+)"', plot)[0])
    assert all(0 < float(x) < width and 0 < float(y) < height for x, y in dots)
    nothing = {**found, "peers": {name: {"skipped": "none"} for name in found["peers"]}}
    assert draw(nothing).count("<circle") == 3 * 3


def test_all_methods_have_room_in_the_plot() -> None:
    row = {"within_half_dof": 1.0, "exposures_per_field": 1.0, "seconds_per_field": 0.5}
    figures = {"na": 0.5, "dof_um": 2.8, **{name: row for name in _NAMES if name.startswith("ours")}}
    plot = draw({**figures, "peers": {name: row for name in _NAMES if not name.startswith("ours")}})
    width, height = (float(value) for value in re.findall(r'viewBox="0 0 (\d+) (\d+)"', plot)[0])
    named = re.findall(r'<text x="([\d.]+)" y="([\d.]+)">([^<]+)<', plot)
    assert {name for *_, name in named} == set(_NAMES.values())
    assert all(float(x) + 6 * len(name) < width and float(y) < height for x, y, name in named)


def test_a_curve_of_another_objective_is_refused(tmp_path: Path) -> None:
    curve = str(strange_curve(tmp_path / "curve.npz"))
    assert run(["bench", "focus", "--fields", "1", "--magnification", "900", "--curve", curve]) == 3


def test_a_curve_is_measured_on_a_slide_that_is_not_compared_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def measured(twin: Any, *_: object) -> Any:  # noqa: ANN401
        asked.append(twin.seed)
        optics = FocusOptics(0.5, 0.293)
        stacks = [Stack(np.linspace(-12, 12, 40), np.zeros((40, FEATURES))) for _ in range(6)]
        return Calibration(learn_curve(stacks, optics), AxialQuality(24, 0, 500, 0.9, 0.2, 0.6, 0.0, 0.99, 1.0), 0)

    monkeypatch.setattr(bench, "_calibrated", measured)
    optics = FocusOptics(0.5, 0.293)
    order = Order(2, 3, 40, curve=tmp_path / "kept.npz")
    curve, known = bench.axial_curve_for(order, FocusSection(), optics, lambda _: None)
    assert curve is not None
    assert asked == [42]
    assert known["from"] == "slide 42"
    held, again = bench.axial_curve_for(order, FocusSection(), optics, lambda _: None)
    assert held is not None
    assert again == {"from": "file"}
    assert asked == [42]
