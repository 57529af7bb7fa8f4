"""What every kind of slide must keep: the same place always shows the same thing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from drivers.twin.slide import (
    CLUTTER,
    ClutterSettings,
    Content,
    Scene,
    SerousSettings,
    Shown,
    Slide,
    SlideSettings,
    SputumSettings,
)
from drivers.twin.slide import make_slide as make
from drivers.twin.slide.paint import Canvas
from drivers.twin.slide.view import LayerStack, layer_shares

UM = 0.4
PLACES = [(37_000.0, 12_500.0), (37_061.0, 12_500.0), (39_000.0, 13_700.0)]
BUSY = ClutterSettings(dust_per_mm2=60.0, back_dust_per_mm2=5.0, bubbles_per_cm2=300.0, ink_marks_per_cm2=100.0)


def slide(content: Content, seed: int = 5) -> Slide:
    settings = SlideSettings(
        content=content,
        serous=SerousSettings(malignant=0.2, blank_share=0.0),
        sputum=SputumSettings(afb_per_hpf=20.0, blank_share=0.0),
        clutter=BUSY,
    )
    return make(settings, seed)


def same(one: Scene, other: Scene) -> bool:
    return one.objects == other.objects and all(
        a.z_um == b.z_um and (a.row0, a.col0) == (b.row0, b.col0) and np.array_equal(a.od, b.od)
        for a, b in zip(one.layers, other.layers, strict=True)
    )


@pytest.mark.parametrize("content", [Content.SEROUS, Content.SPUTUM, Content.INK, Content.EMPTY])
def test_a_place_looks_the_same_whenever_it_is_visited(content: Content) -> None:
    forward, backward = slide(content), slide(content)
    first = [forward.scene(x, y, 300, 200, UM) for x, y in PLACES]
    second = [backward.scene(x, y, 300, 200, UM) for x, y in reversed(PLACES)][::-1]
    assert all(same(a, b) for a, b in zip(first, second, strict=True))
    assert forward.surface_um(*PLACES[0]) == backward.surface_um(*PLACES[0])


@pytest.mark.parametrize("content", [Content.SEROUS, Content.SPUTUM, Content.INK, Content.EMPTY])
def test_specimen_and_dirt_together_are_all_there_is(content: Content) -> None:
    made = slide(content)
    x, y = PLACES[0]
    everything, specimen, dirt = (made.scene(x, y, 400, 300, UM, shown=shown) for shown in Shown)
    assert np.abs(everything.total_od() - specimen.total_od() - dirt.total_od()).max() < 1e-4
    assert everything.objects == specimen.objects + dirt.objects
    assert {item.kind for item in dirt.objects} <= CLUTTER
    assert not CLUTTER & {item.kind for item in specimen.objects}
    assert (float(specimen.total_od().max()) > 0.05) == (content in {Content.SEROUS, Content.SPUTUM})
    assert float(dirt.total_od().max()) > 0.05


@pytest.mark.parametrize("content", [Content.SEROUS, Content.SPUTUM, Content.INK])
def test_another_seed_is_another_slide(content: Content) -> None:
    one, other = (slide(content, seed).scene(*PLACES[0], 200, 200, UM) for seed in (5, 6))
    assert np.abs(one.total_od() - other.total_od()).max() > 0.05


@pytest.mark.parametrize("content", [Content.SEROUS, Content.SPUTUM, Content.INK, Content.EMPTY])
def test_scenes_that_overlap_agree_where_they_overlap(content: Content) -> None:
    made = slide(content)
    x, y = PLACES[0]
    whole = made.scene(x, y, 400, 300, UM)
    part = made.scene(x + 130 * UM, y + 90 * UM, 150, 120, UM)
    assert np.abs(whole.total_od()[90:210, 130:280] - part.total_od()).max() < 2e-3
    listed = {(o.kind, round(o.x_um, 3), round(o.y_um, 3)) for o in whole.objects}
    assert {(o.kind, round(o.x_um, 3), round(o.y_um, 3)) for o in part.objects} <= listed


def test_threads_get_what_one_caller_gets() -> None:
    alone, shared = slide(Content.SEROUS), slide(Content.SEROUS)
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda place: shared.scene(*place, 200, 150, UM), PLACES))
    assert all(same(a, alone.scene(*place, 200, 150, UM)) for a, place in zip(together, PLACES, strict=True))


def test_objects_listed_are_those_whose_centre_is_inside() -> None:
    x, y = PLACES[0]
    scene = slide(Content.SEROUS).scene(x, y, 400, 300, UM)
    assert scene.objects
    for item in scene.objects:
        assert x - UM / 2 <= item.x_um < x + 399.5 * UM
        assert y - UM / 2 <= item.y_um < y + 299.5 * UM


def test_a_truth_box_holds_its_cell() -> None:
    made = slide(Content.SEROUS)
    scene = made.scene(36_800.0, 12_500.0, 900, 700, UM)
    total = scene.total_od().sum(axis=2)
    alone = [o for o in scene.objects if o.kind == "lymphocyte"]
    assert alone
    inside = [total[round((o.y_um - scene.y0_um) / UM), round((o.x_um - scene.x0_um) / UM)] for o in alone]
    assert np.median(inside) > 3.0 * np.median(total)


def test_most_of_a_field_lies_near_its_surface() -> None:
    scene = slide(Content.SEROUS).scene(36_800.0, 12_500.0, 900, 700, UM)
    weight = {layer.z_um: 0.0 for layer in scene.layers}
    for layer in scene.layers:
        weight[layer.z_um] += float(layer.od.sum())
    near = sum(value for z, value in weight.items() if abs(z) <= 5.0)
    assert near > 0.6 * sum(weight.values())
    assert all(layer.od.dtype == np.float32 and layer.od.max() > 0.0 for layer in scene.layers)
    assert [layer.z_um for layer in scene.layers] == sorted(layer.z_um for layer in scene.layers)


@pytest.mark.parametrize("z_um", [0.0, 0.37, -3.2, 5.5, -27.0])
@pytest.mark.parametrize("thickness_um", [0.0, 1.0, 6.0])
@pytest.mark.parametrize("pitch_um", [0.4, 1.0, 2.0])
def test_an_absorber_is_shared_out_completely_and_about_its_height(
    z_um: float, thickness_um: float, pitch_um: float
) -> None:
    shares = layer_shares(z_um, thickness_um, pitch_um)
    assert sum(shares.values()) == pytest.approx(1.0)
    stack = LayerStack(1, 1, pitch_um)
    stack.stamp(np.ones((1, 1, 3), np.float32), 0, 0, z_um, thickness_um=thickness_um)
    mean = sum(layer.z_um * float(layer.od[0, 0, 0]) for layer in stack.layers())
    step = pitch_um * (1.0 if abs(z_um) < 4.0 * pitch_um else 4.0)
    assert mean == pytest.approx(z_um, abs=0.15 * step)


def test_a_sheet_follows_the_relief() -> None:
    stack = LayerStack(40, 50, 1.0)
    relief = np.linspace(-2.0, 2.0, 50, dtype=np.float32)[None, :].repeat(40, axis=0)
    stack.sheet(np.ones((40, 50, 3), np.float32), 0, 0, relief)
    height, total = np.zeros((40, 50)), np.zeros((40, 50))
    for layer in stack.layers():
        rows, cols = layer.od.shape[:2]
        place = np.s_[layer.row0 : layer.row0 + rows, layer.col0 : layer.col0 + cols]
        height[place] += layer.z_um * layer.od[:, :, 0]
        total[place] += layer.od[:, :, 0]
    assert np.abs(total - 1.0).max() < 1e-5
    assert np.abs(height - relief).max() < 1e-4


@pytest.mark.parametrize("planes", [1, 3, 5])
def test_a_sprite_is_averaged_down_plane_by_plane(planes: int) -> None:
    canvas = Canvas(10.0, 0.293)
    fine = np.random.default_rng(1).random((canvas.side, canvas.side, planes), dtype=np.float32)
    half = canvas.side // 2
    wanted = fine.reshape(half, 2, half, 2, planes).mean(axis=(1, 3))
    assert np.allclose(canvas.finish(fine), wanted, atol=1e-6)
