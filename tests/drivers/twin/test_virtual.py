"""The microscope in simulated time keeps the contracts of stage and camera, and its clock the motion profiles."""

from __future__ import annotations

import time

import numpy as np
import pytest

from drivers.camera.frame import CameraSettings, Frame, FrameStatus
from drivers.errors import FrameTimeout, LimitError
from drivers.stage import MoveStopped, StageBusy
from drivers.twin.settings import load_settings
from drivers.twin.virtual import FieldShelf, VirtualMicroscope

SMALL = ["seed=33", "camera.width_px=320", "camera.height_px=256", "slide.clutter.dust_per_mm2=0"]
PLACE = (38_000.0, 13_000.0)
QUIET = [
    *SMALL,
    "mechanics.z.repeatability_um=0",
    "mechanics.vibration_um=0",
    "mechanics.warmup_um=0",
    "mechanics.z.settle_amplitude_um=0",
    "mechanics.z.backlash_um=1.5",
]


@pytest.fixture(scope="module")
def shelf() -> FieldShelf:
    return FieldShelf(load_settings(None, SMALL))


@pytest.fixture
def scope(shelf: FieldShelf) -> VirtualMicroscope:
    return VirtualMicroscope(shelf)


def over_specimen(scope: VirtualMicroscope, z_um: float = 3_000.0) -> VirtualMicroscope:
    scope.stage.move_and_wait(*PLACE, z_um)
    return scope


def test_a_move_takes_its_profile_and_then_settles(scope: VirtualMicroscope) -> None:
    over_specimen(scope)
    start_s = scope.clock.now_s
    move = scope.stage.move(x_um=PLACE[0] + 565)
    assert scope.clock.now_s == start_s
    times = scope.stage.wait(move)
    assert times.move_s == pytest.approx(2 * (565e-3 / 500) ** 0.5, abs=1e-3)
    assert times.settle_s == pytest.approx(0.080, abs=1e-6)
    assert scope.clock.now_s - start_s == pytest.approx(move.predicted_s, abs=1e-3)


def test_axes_of_a_short_way_run_side_by_side(scope: VirtualMicroscope) -> None:
    over_specimen(scope)
    both = scope.stage.move_and_wait(PLACE[0] + 300, PLACE[1] + 300).move_s
    assert both == pytest.approx(scope.stage.move_and_wait(PLACE[0], None).move_s, abs=1e-3)


def test_a_long_way_runs_with_z_low(scope: VirtualMicroscope) -> None:
    over_specimen(scope)
    move = scope.stage.move(x_um=PLACE[0] - 8_000)
    scope.stage.wait(move)
    assert scope.stage.position().z_um == pytest.approx(scope.stage.settings.safe_z_um)


def test_time_asked_for_during_a_move_finds_the_axis_under_way(scope: VirtualMicroscope) -> None:
    over_specimen(scope)
    move = scope.stage.creep(3_010.0, 20.0)
    scope.clock.wait_until(move.started_s + move.motion_s / 2)
    assert scope.stage.position().z_um == pytest.approx(3_005.0, abs=0.2)
    scope.stage.wait(move)
    assert scope.stage.position().z_um == pytest.approx(3_010.0)


def test_z_is_approached_from_below_so_that_backlash_does_not_show() -> None:
    scope = over_specimen(VirtualMicroscope(FieldShelf(load_settings(None, QUIET))))
    seen = []
    for before_um in (2_990.0, 3_010.0):
        scope.stage.move_and_wait(z_um=before_um)
        move = scope.stage.move(z_um=3_000.0)
        assert move.legs[0]["z"][-1] == pytest.approx(3_000.0)
        scope.stage.wait(move)
        seen.append(exposed(scope))
    assert seen[0] == pytest.approx(seen[1], abs=0.05)
    scope.stage.move_and_wait(z_um=3_010.0)
    scope.stage.wait(scope.stage.creep(3_000.0, 50.0))
    assert exposed(scope) - seen[0] == pytest.approx(1.5, abs=0.1)


def exposed_frame(scope: VirtualMicroscope) -> int:
    scope.camera.trigger()
    return scope.camera.grab(1.0).frame_id


def exposed(scope: VirtualMicroscope) -> float:
    scope.camera.trigger()
    return scope.truths[scope.camera.grab(1.0).frame_id].z_um


def test_targets_outside_the_limits_and_a_second_move_are_refused(scope: VirtualMicroscope) -> None:
    before = over_specimen(scope).stage.position()
    low, high = scope.stage.limits()["z"]
    for z_um in (low - 1.0, high + 1.0):
        with pytest.raises(LimitError):
            scope.stage.move(z_um=z_um)
    assert scope.stage.position() == before
    scope.stage.move(z_um=3_001.0)
    with pytest.raises(StageBusy):
        scope.stage.move(z_um=3_002.0)


def test_retracting_ends_a_move_and_takes_z_away(scope: VirtualMicroscope) -> None:
    over_specimen(scope)
    move = scope.stage.move(z_um=3_500.0)
    scope.clock.wait_until(scope.clock.now_s + move.motion_s / 2)
    assert scope.stage.retract()
    assert scope.stage.position().z_um == pytest.approx(scope.stage.settings.retract_z_um)
    with pytest.raises(MoveStopped):
        scope.stage.wait(move)
    scope.stage.move_and_wait(z_um=3_000.0)
    assert scope.stage.position().z_um == pytest.approx(3_000.0)


def test_frames_are_fresh_and_take_exposure_and_readout(scope: VirtualMicroscope) -> None:
    over_specimen(scope)
    assert scope.camera.configure(CameraSettings(1e6)).exposure_ms == 500.0
    scope.camera.configure(CameraSettings(5.0))
    start_s = scope.clock.now_s
    scope.camera.trigger()
    assert scope.clock.now_s == start_s
    first = scope.camera.grab(1.0)
    assert scope.clock.now_s - start_s == pytest.approx(0.029)
    assert first.status is FrameStatus.OK
    assert first.trigger_ns == round(start_s * 1e9)
    scope.camera.trigger()
    second = scope.camera.grab(1.0)
    assert second.frame_id == first.frame_id + 1
    assert second.pixels.shape == (256, 320)
    assert not np.array_equal(first.pixels, second.pixels)


def test_an_exposure_is_over_before_its_frame_is_there(scope: VirtualMicroscope) -> None:
    over_specimen(scope)
    start_s = scope.clock.now_s
    scope.camera.trigger()
    scope.camera.exposed(1.0)
    assert scope.clock.now_s - start_s == pytest.approx(0.005)
    scope.camera.exposed(1.0)
    assert scope.clock.now_s - start_s == pytest.approx(0.005)
    frame = scope.camera.grab(1.0)
    assert scope.clock.now_s - start_s == pytest.approx(0.029)
    assert frame.host_ns == round(scope.clock.now_s * 1e9)


def test_without_a_trigger_there_is_no_frame(scope: VirtualMicroscope) -> None:
    with pytest.raises(FrameTimeout, match="nothing was triggered"):
        scope.camera.grab(0.5)
    assert scope.clock.now_s == pytest.approx(0.5)
    with pytest.raises(FrameTimeout, match="nothing was triggered"):
        scope.camera.exposed(0.5)


def detail(frame: Frame) -> float:
    """Energy of what changes from pixel to pixel along the rows, where a way in X blurs."""
    green = frame.pixels[0::2, 1::2].astype(np.float32)
    return float((np.diff(green, axis=1) ** 2).mean())


def test_leaving_before_the_exposure_is_over_shows_and_leaving_after_it_does_not(scope: VirtualMicroscope) -> None:
    over_specimen(scope)
    scope.camera.trigger()
    still = scope.camera.grab(1.0)
    sharp_um = 3_000.0 - scope.truths[still.frame_id].off_um
    seen = {}
    for leaves in ("not at all", "when exposed", "too early"):
        scope.stage.move_and_wait(*PLACE, sharp_um)
        scope.clock.wait_until(scope.clock.now_s + 0.5)
        scope.camera.trigger()
        if leaves == "when exposed":
            scope.camera.exposed(1.0)
        if leaves != "not at all":
            move = scope.stage.move(x_um=PLACE[0] + 565.0)
        seen[leaves] = scope.camera.grab(1.0)
        if leaves != "not at all":
            scope.stage.wait(move)
    at_rest = detail(seen["not at all"])
    assert detail(seen["when exposed"]) == pytest.approx(at_rest, rel=0.05)
    assert detail(seen["too early"]) < 0.7 * at_rest


def test_the_truth_is_where_the_picture_is_sharpest(scope: VirtualMicroscope) -> None:
    over_specimen(scope)
    scope.camera.trigger()
    shown = scope.truths[scope.camera.grab(1.0).frame_id]
    assert not shown.blank
    energy = {}
    for away_um in (-5.0, 0.0, 5.0):
        scope.stage.move_and_wait(z_um=3_000.0 - shown.off_um + away_um)
        scope.camera.trigger()
        frame = scope.camera.grab(1.0)
        assert scope.truths[frame.frame_id].off_um == pytest.approx(away_um, abs=0.5)
        energy[away_um] = detail(frame)
    assert energy[0.0] > max(energy[-5.0], energy[5.0])


def spin(seconds: float) -> None:
    """Keep the processor busy for so long."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_drawing_costs_neither_the_host_nor_the_clock(scope: VirtualMicroscope) -> None:
    over_specimen(scope)
    now_s = scope.clock.now_s
    scope.clock.start_host()
    before = time.process_time()
    scope.camera.trigger()
    scope.camera.grab(1.0)
    drawing_s = time.process_time() - before
    scope.clock.stop_host()
    assert scope.clock.now_s - now_s == pytest.approx(0.029)
    assert scope.clock.host_s < 0.5 * drawing_s


@pytest.mark.parametrize(("busy_s", "hidden"), [(0.01, True), (0.3, False)])
def test_what_the_host_computes_during_a_move_hides_behind_it(shelf: FieldShelf, busy_s: float, hidden: bool) -> None:
    scope = VirtualMicroscope(shelf, counts_host=True)
    over_specimen(scope)
    begun_s = scope.clock.now_s
    scope.clock.start_host()
    move = scope.stage.move(x_um=scope.stage.position().x_um + 565.0)
    spin(busy_s)
    times = scope.stage.wait(move)
    scope.clock.stop_host()
    took_s = times.move_s + times.settle_s
    assert 0.1 < took_s < 0.25
    passed_s = scope.clock.now_s - begun_s
    assert scope.clock.host_s >= busy_s
    assert passed_s == pytest.approx(took_s if hidden else scope.clock.host_s, abs=0.01)


def test_a_clock_of_the_devices_alone_does_not_hear_the_host(scope: VirtualMicroscope) -> None:
    now_s = scope.clock.now_s
    scope.clock.start_host()
    spin(0.02)
    scope.camera.trigger()
    scope.clock.stop_host()
    assert scope.clock.host_s >= 0.02
    assert scope.clock.now_s == now_s


def test_microscopes_over_one_slide_share_its_fields_and_start_alike(
    shelf: FieldShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []
    build = shelf.field

    def counted(x_um: float, y_um: float) -> object:
        field = build(x_um, y_um)
        built.append(id(field))
        return field

    monkeypatch.setattr(shelf, "field", counted)
    seen = []
    for one in (VirtualMicroscope(shelf), VirtualMicroscope(shelf)):
        over_specimen(one)
        one.camera.trigger()
        frame = one.camera.grab(1.0)
        seen.append((frame.pixels, one.truths[frame.frame_id]))
    assert len(set(built)) == 1
    assert seen[0][1] == seen[1][1]
    np.testing.assert_array_equal(seen[0][0], seen[1][0])


def test_the_truth_knows_what_lies_in_the_frame_and_where_it_was_taken(scope: VirtualMicroscope) -> None:
    over_specimen(scope)
    truth = scope.truths[exposed_frame(scope)]
    settings = load_settings(None, SMALL)
    assert (truth.x_um, truth.y_um) == pytest.approx(PLACE, abs=20.0)
    assert truth.surface_um == pytest.approx(truth.best_um, abs=10.0)
    assert truth.objects
    half_um = settings.camera.width_px / 2 * settings.optics.scale_um
    assert all(abs(item.x_um - truth.x_um) <= half_um for item in truth.objects)
