"""Measuring how the stage comes to rest: only where the picture shows the slide, and not the camera alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.scan.settle.measure import PLACES, Bench, find_sight
from appliance.scan.settle.waits import Unhurried, without_wait
from drivers.camera.frame import CameraSettings, Frame, FrameStatus
from drivers.errors import FrameTimeout
from drivers.stage.settings import standard_stage
from drivers.twin.settings import load_settings
from drivers.twin.virtual import FieldShelf, VirtualMicroscope

SMALL = ("camera.width_px=384", "camera.height_px=320")
CROWDED = ("slide.content=serous", "slide.serous.nucleated_per_field={low: 900, high: 1000}")


def bench_over(*assignments: str) -> tuple[Bench, VirtualMicroscope]:
    shelf = FieldShelf(load_settings(None, [*SMALL, *assignments]))
    scope = VirtualMicroscope(shelf, without_wait(standard_stage("virtual")))
    scope.camera.configure(CameraSettings(5.0))

    def pause(seconds: float) -> None:
        scope.clock.wait_until(scope.clock.now_s + seconds)

    return Bench(scope.stage, scope.camera, pause, shelf.settings.optics.scale_um), scope


def grid(z_um: float = 3_000.0) -> list[tuple[float, float, float]]:
    """As far apart as fields of a survey, so that the ways between them run with Z low."""
    return [(35_700.0 + 1_500.0 * (i % 4), 10_700.0 + 1_500.0 * (i // 4), z_um) for i in range(PLACES)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_cameras_own_dust_and_noise_are_not_taken_for_a_slide(seed: int) -> None:
    bench, _ = bench_over("slide.content=empty", "camera.sensor_dust=60", f"seed={seed}")
    assert find_sight(bench, grid()) is None


def test_a_place_with_cells_is_found_and_a_scale_that_is_not_the_cameras_is_not_believed() -> None:
    bench, scope = bench_over(*CROWDED, "seed=31")
    sight = find_sight(bench, grid())
    assert sight is not None
    assert sight.place in {(x, y) for x, y, _ in grid()}
    assert scope.stage.position().z_um == pytest.approx(3_000.0, abs=0.2)
    assert find_sight(replace(bench, um_per_px=2 * bench.um_per_px), grid()) is None
    assert find_sight(bench, grid()[:3]) is None, "too few places to know the camera by"
    assert scope.camera.exposures > PLACES


def test_frames_that_do_not_come_whole_are_taken_again_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, scope = bench_over("slide.content=empty")
    grab, broken = scope.camera.grab, {1, 2, 4, 5, 6}

    def grabbed(timeout_s: float) -> Frame:
        frame = grab(timeout_s)
        return replace(frame, status=FrameStatus.INCOMPLETE) if frame.frame_id in broken else frame

    monkeypatch.setattr(scope.camera, "grab", grabbed)
    bench.stage.wait(bench.stage.move(37_000.0, 12_500.0, 3_000.0))
    bench.shot()
    assert scope.camera.exposures == 3
    with pytest.raises(FrameTimeout, match="after 3 triggers"):
        bench.shot()


def test_a_picture_right_after_a_move_has_its_true_delay_and_an_unhurried_stage_waits_long() -> None:
    bench, scope = bench_over("slide.content=empty")
    bench.stage.wait(bench.stage.move(37_000.0, 12_500.0, 3_000.0))
    move, times = bench.go((37_300.0, 12_500.0))
    assert times.settle_s == 0.0
    _, triggered_s = bench.shot()
    assert triggered_s - (move.started_s + times.move_s) == pytest.approx(0.0, abs=1e-6)
    slow, begun_s = Unhurried(bench.stage, bench.pause), scope.clock.now_s
    slow.wait(slow.move(x_um=37_000.0))
    assert scope.clock.now_s - begun_s > 0.5
    begun_s = scope.clock.now_s
    slow.wait(slow.move(z_um=3_001.0))
    assert scope.clock.now_s - begun_s < 0.1
