"""A slide without end of fields drawn once: every place is itself again, and sharp where the slide's surface is."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.camera.frame import CameraSettings
from drivers.twin.settings import load_settings
from drivers.twin.slide import make_slide
from drivers.twin.virtual import FieldLadder, RepeatedMicroscope, draw_ladder

SETTINGS = load_settings(
    None,
    [
        "seed=33",
        "camera.width_px=320",
        "camera.height_px=256",
        "slide.clutter.dust_per_mm2=0",
        "mechanics.z.repeatability_um=0",
        "mechanics.vibration_um=0",
        "mechanics.warmup_um=0",
        "mechanics.z.settle_amplitude_um=0",
    ],
)
RUNGS_UM = (-12.0, -4.0, 0.0, 4.0, 12.0)


@pytest.fixture(scope="module")
def ladder() -> FieldLadder:
    return draw_ladder(SETTINGS, [(38_000.0, 13_000.0)], RUNGS_UM)


def sharpness(pixels: np.ndarray) -> float:
    return float((np.diff(pixels[0::2, 1::2].astype(np.float32), axis=1) ** 2).mean())


def test_a_place_shows_the_same_again_and_another_place_something_else(ladder: FieldLadder) -> None:
    here = ladder.at((10_000.0, 5_000.0), 0.3)
    assert here.shape == (256, 320)
    assert np.array_equal(here, ladder.at((10_000.0, 5_000.0), -0.3))
    assert not np.array_equal(here, ladder.at((10_500.0, 5_000.0), 0.3))
    here[:] = 0
    assert ladder.at((10_000.0, 5_000.0), 0.3).any()


def test_the_rung_nearest_to_the_height_is_shown(ladder: FieldLadder) -> None:
    place = (20_000.0, 9_000.0)
    for asked_um, rung_um in ((-99.0, -12.0), (-2.5, -4.0), (-1.0, 0.0), (7.0, 4.0), (99.0, 12.0)):
        assert np.array_equal(ladder.at(place, asked_um), ladder.at(place, rung_um))
    values = [sharpness(ladder.at(place, rung_um)) for rung_um in RUNGS_UM]
    assert values[2] == max(values)
    assert values[0] < values[1]
    assert values[4] < values[3]


def test_a_scan_far_outside_the_drawn_field_is_sharp_at_the_slides_surface(ladder: FieldLadder) -> None:
    scope = RepeatedMicroscope(ladder)
    scope.camera.configure(CameraSettings(5.0))
    slide = make_slide(SETTINGS.slide, SETTINGS.seed)
    for x_um, y_um in ((9_000.0, 4_000.0), (60_000.0, 21_000.0)):
        seen = {}
        for z_um in np.arange(2_950.0, 3_050.0, 4.0).tolist():
            scope.stage.wait(scope.stage.move(x_um=x_um, y_um=y_um, z_um=z_um))
            scope.camera.trigger()
            seen[z_um] = sharpness(scope.camera.grab(1.0).pixels)
        surface_um = SETTINGS.reference_z_um + slide.surface_um(x_um, y_um)
        assert max(seen, key=lambda z_um: seen[z_um]) == pytest.approx(surface_um, abs=4.0)
