"""`cytoscan calibrate settle`, in simulated time: the wait follows the stage, and what is left is told by its truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import copy
from pathlib import Path

import numpy as np
import pytest

from appliance.cli import calibrate_settle
from appliance.cli.app import run
from appliance.cli.calibrate_settle import learn_on
from appliance.cli.doctor import _settle
from appliance.cli.exits import Exit
from appliance.cli.hardware import settle_file, stage_in_use
from appliance.cli.twin_plan import plan_over
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.rig import Rig
from appliance.scan.settle.measure import LONGEST_EXPOSURE_MS, Bench
from appliance.scan.settle.waits import Unhurried, with_waits, without_wait
from appliance.settings import FocusSection, load_settings
from drivers.camera.frame import CameraSettings
from drivers.stage import StageSettings
from drivers.stage.settings import AxisName, standard_stage
from drivers.twin.mechanics import Mechanics
from drivers.twin.settings import TwinSettings
from drivers.twin.settings import load_settings as twin_settings
from drivers.twin.virtual import FieldShelf, VirtualClock, VirtualMicroscope
from tests.appliance.cli.conftest import Ran
from tests.appliance.cli.virtual_twin import in_simulated_time

CROWDED = (
    "seed=31",
    "slide.content=serous",
    "camera.width_px=384",
    "camera.height_px=320",
    "slide.serous.nucleated_per_field={low: 900, high: 1000}",
)
BRIEF = {"search_um": 20.0, "survey_points": 3}
"""A short survey."""
XY: tuple[AxisName, AxisName] = ("x", "y")


def scaled(by: float) -> TwinSettings:
    """The twin with this many times its ringing in X and Y."""
    return twin_settings(None, [*CROWDED, *(f"mechanics.{axis}.settle_amplitude_um={3.0 * by}" for axis in XY)])


def learned(shelf: FieldShelf, twin: TwinSettings) -> StageSettings:
    """What a twin with the same slide learns: the fields that one has drawn are the other's, too."""
    shelf = copy(shelf)
    shelf.settings = twin
    places = [(field.x_um, field.y_um) for field in plan_over(shelf, 200)]
    optics = FocusOptics(twin.optics.aperture, twin.optics.scale_um)
    scope = VirtualMicroscope(shelf, without_wait(standard_stage("virtual")))

    def pause(seconds: float) -> None:
        scope.clock.wait_until(scope.clock.now_s + seconds)

    focus = FocusSection(reference_z_um=twin.reference_z_um, **BRIEF)
    rig = Rig(Unhurried(scope.stage, pause), scope.camera, CameraSettings(LONGEST_EXPOSURE_MS), clock=scope.clock)
    bench = Bench(scope.stage, scope.camera, pause, optics.um_per_px)
    return with_waits(standard_stage("virtual"), learn_on(rig, bench, places, focus, optics, lambda _: None))


def left_px(twin: TwinSettings, axis: AxisName, wait_ms: float) -> float:
    """How far the axis truly is from rest, at most, from the end of the wait on; vibration and heat switched off."""
    still = twin.mechanics.model_copy(
        update={"vibration_um": 0.0, "warmup_um": 0.0, "thermal_um_per_k": 0.0, "random_walk_um_per_sqrt_min": 0.0}
    )
    mechanics = Mechanics(still, VirtualClock())
    size_px = twin.camera.width_px if axis == "x" else twin.camera.height_px
    start_um = twin.mechanics.x.start_um if axis == "x" else twin.mechanics.y.start_um
    done_s = mechanics.command_move(axis, start_um + size_px * twin.optics.scale_um)
    number = XY.index(axis)
    rest_um = mechanics.true_position(done_s + 5.0)[number]
    after_s = done_s + wait_ms / 1e3 + np.arange(0.0, 0.5, 0.0005)
    farthest_um = max(abs(mechanics.true_position(float(t))[number] - rest_um) for t in after_s)
    return farthest_um / twin.optics.scale_um


def test_the_wait_follows_the_ringing_and_leaves_less_than_half_a_pixel_of_it() -> None:
    waits, shelf = {}, FieldShelf(scaled(1.0), kept=40)
    for by in (0.5, 1.0, 2.0):
        twin = scaled(by)
        stage = learned(shelf, twin)
        waits[by] = [stage.axis(axis).settle_ms for axis in XY]
        for axis, wait_ms in zip(XY, waits[by], strict=True):
            assert left_px(twin, axis, wait_ms) < 0.5
            assert left_px(twin, axis, 0.6 * wait_ms) > 0.5, "much longer than needed"
        assert stage.z.settle_ms == 20.0
    for number in range(2):
        assert waits[0.5][number] < waits[1.0][number] < waits[2.0][number]


@pytest.fixture
def settle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """The command in this process and in simulated time."""

    def ran(*more: str) -> Ran:
        monkeypatch.chdir(tmp_path)
        in_simulated_time(monkeypatch, calibrate_settle)
        sets = [part for text in (*CROWDED[2:], *more) for part in ("--twin-set", text)]
        sets += [part for key, value in BRIEF.items() for part in ("--set", f"focus.{key}={value}")]
        code = run(["calibrate", "settle", "--twin", "--seed", "31", *sets, "--json", "result.json"])
        said, path = capsys.readouterr(), Path("result.json")
        return Ran(code, said.out, said.err, json.loads(path.read_text()) if path.exists() else {})

    return ran


def test_what_is_learned_is_kept_used_and_told(settle: Callable[..., Ran]) -> None:
    settings = load_settings(None, [])
    ran = settle()
    assert ran.code == 0, ran.out + ran.err
    assert settle_file(settings).name == "stage-settle-twin-450x.json"
    in_use = stage_in_use(settings)
    for axis in XY:
        wait_ms = in_use.axis(axis).settle_ms
        assert wait_ms == ran.result[axis]["wait_ms"]
        assert f"{axis.upper()} rings" in ran.out
        assert f"waits {wait_ms:.0f} ms (set: 80 ms)" in ran.out
    told = _settle(settings)
    assert told.ok
    assert not told.remedy
    assert f"X waits {in_use.x.settle_ms:g} ms" in told.found
    settle_file(settings).write_text("{}")
    assert not _settle(settings).ok


def test_an_empty_slide_shows_no_ringing_and_the_waits_stay(settle: Callable[..., Ran]) -> None:
    ran = settle("slide.content=empty")
    assert ran.code == Exit.FAULT
    assert "The survey found no specimen." in ran.err
    assert "The waits in use stay." in ran.err
    settings = load_settings(None, [])
    assert not settle_file(settings).exists()
    assert stage_in_use(settings) == settings.stage
    told = _settle(settings)
    assert told.ok
    assert "X waits 80 ms and Y 80 ms, as set" in told.found
    assert "calibrate settle" in told.remedy
