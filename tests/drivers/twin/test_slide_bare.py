"""Slides without a specimen, and what lies on every slide."""

from __future__ import annotations

import numpy as np

from drivers.twin.slide import ClutterSettings, SlideSettings
from drivers.twin.slide import make_slide as make

CLEAN = ClutterSettings(dust_per_mm2=0.0, back_dust_per_mm2=0.0, bubbles_per_cm2=0.0, ink_marks_per_cm2=0.0)


def test_an_empty_slide_is_clear_glass() -> None:
    slide = make(SlideSettings(content="empty", clutter=CLEAN), 1)
    scene = slide.scene(37_500.0, 12_500.0, 400, 300, 0.5)
    assert scene.layers == []
    assert scene.objects == []
    assert scene.total_od().max() == 0.0
    assert slide.content == "empty"


def test_an_empty_slide_has_dust_by_default() -> None:
    slide = make(SlideSettings(content="empty"), 1)
    scene = slide.scene(35_000.0, 10_000.0, 600, 600, 10.0)
    assert {o.kind for o in scene.objects} == {"dust"}
    assert 3 <= len(scene.objects) <= 40


def test_ink_covers_the_place_of_the_specimen_and_nothing_else() -> None:
    slide = make(SlideSettings(content="ink", clutter=CLEAN), 2)
    area = slide.specimen
    scene = slide.scene(area.x_um, area.y_um, round(area.width_um / 10), round(area.height_um / 10), 10.0)
    dark = (scene.total_od().min(axis=2) > 0.3).mean()
    assert 0.75 < dark < 0.995
    assert scene.objects == []
    assert not slide.scene(area.x_um - 2_000.0, area.y_um, 200, 200, 1.0).layers


def test_dust_on_the_far_side_is_a_wide_faint_shadow() -> None:
    settings = CLEAN.model_copy(update={"back_dust_per_mm2": 2.0})
    scene = make(SlideSettings(content="empty", clutter=settings), 3).scene(37_000.0, 12_000.0, 500, 500, 4.0)
    total = scene.total_od()
    assert 0.003 < total.max() < 0.15
    assert np.abs(np.diff(total, axis=1)).max() < 0.003
    assert scene.objects == []


def test_bubbles_are_dark_rings_below_the_surface() -> None:
    settings = CLEAN.model_copy(update={"bubbles_per_cm2": 400.0})
    scene = make(SlideSettings(content="empty", clutter=settings), 4).scene(36_500.0, 12_000.0, 1_000, 800, 1.0)
    assert scene.layers
    assert min(layer.z_um for layer in scene.layers) < -3.0
    assert 0.2 < scene.total_od().max() < 3.0


def test_an_ink_mark_hides_what_lies_under_it() -> None:
    settings = CLEAN.model_copy(update={"ink_marks_per_cm2": 300.0})
    scene = make(SlideSettings(content="empty", clutter=settings), 5).scene(36_500.0, 12_000.0, 1_000, 800, 2.0)
    dark = scene.total_od().max(axis=2) > 0.8
    assert 0.05 < dark.mean() < 1.0
