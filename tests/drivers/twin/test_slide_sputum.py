from __future__ import annotations

import numpy as np
import pytest

from drivers.twin.slide import AFB, Scene, SlideSettings, SputumSettings
from drivers.twin.slide import make_slide as make
from drivers.twin.slide.sputum_sprites import sputum_painter
from drivers.twin.slide.stains import draw_palette

COARSE = 16.0
WIDTH_UM, HEIGHT_UM = 8_000.0, 5_000.0
TILES = 800  # of 0.05 mm², each with its own negative binomial count
NONE = {"low": 0, "high": 0}
NO_CELLS = {"pmn_per_mm2": NONE, "squamous_per_mm2": NONE, "debris_per_mm2": NONE, "confusers_per_mm2": NONE}


def whole_smear(seed: int, **settings: object) -> Scene:
    """A whole smear of 40 mm², coarsely: enough to list its objects."""
    size = {"width_um": WIDTH_UM, "height_um": HEIGHT_UM}
    chosen = SputumSettings.model_validate(NO_CELLS | size | settings)
    slide = make(SlideSettings(content="sputum", sputum=chosen), seed)
    area = slide.specimen
    return slide.scene(area.x_um, area.y_um, round(area.width_um / COARSE), round(area.height_um / COARSE), COARSE)


def bacilli(scene: Scene) -> np.ndarray:
    return np.array([(o.x_um, o.y_um) for o in scene.objects if o.kind == AFB]).reshape(-1, 2)


@pytest.mark.parametrize("per_mm2", [0.0, 3.0, 60.0])
def test_bacilli_have_the_density_asked_for(per_mm2: float) -> None:
    counts = [len(bacilli(whole_smear(seed, afb_per_mm2=per_mm2))) for seed in (1, 2)]
    expected = per_mm2 * WIDTH_UM * HEIGHT_UM * 1e-6
    per_tile = per_mm2 * 0.05
    spread = np.sqrt(2.0 * TILES * (per_tile + per_tile**2 / 0.4))
    assert abs(sum(counts) - 2.0 * expected) <= 4.0 * spread + 0.15 * expected


def test_bacilli_are_clustered_not_scattered() -> None:
    places = bacilli(whole_smear(3, afb_per_mm2=60.0, blank_share=0.0))
    edges = np.arange(152, 188) * 223.6, np.arange(48, 69) * 223.6
    counts, _, _ = np.histogram2d(places[:, 0], places[:, 1], bins=edges)
    inner = counts[1:-1, 1:-1]
    clumping = inner.mean() ** 2 / (inner.var() - inner.mean())
    assert 0.2 < clumping < 0.6


def test_bacilli_of_a_group_lie_beside_each_other_in_one_direction_and_plane() -> None:
    """Of rods that lie across each other at random, a quarter would be nearer than 0.7 µm and half turned by 45°."""
    found = [o for o in whole_smear(5, afb_per_mm2=60.0, blank_share=0.0).objects if o.kind == AFB]
    places = np.array([(o.x_um, o.y_um) for o in found])
    apart = np.hypot(places[:, None, 0] - places[:, 0], places[:, None, 1] - places[:, 1])
    np.fill_diagonal(apart, np.inf)
    nearest, distance = apart.argmin(axis=1), apart.min(axis=1)
    grouped = np.flatnonzero(distance < 3.0)
    assert 0.2 < grouped.size / len(found) < 0.4
    assert (distance[grouped] < 0.7).mean() < 0.06
    angles, heights = (np.array([getattr(o, name) for o in found]) for name in ("angle_rad", "z_um"))
    turned = np.abs(np.angle(np.exp(2j * (angles[grouped] - angles[nearest[grouped]])))) / 2.0
    assert np.median(turned) < np.radians(15.0)
    assert np.quantile(turned, 0.95) > np.radians(25.0)  # some form a V
    assert np.median(np.abs(heights[grouped] - heights[nearest[grouped]])) < 0.4


def test_a_group_at_a_tile_border_is_whole_in_every_view() -> None:
    """Tiles of content meet at multiples of 223.6 µm; what a group reaches beyond its own must not be lost."""
    smear = SputumSettings.model_validate(NO_CELLS | {"afb_per_mm2": 6000.0, "blank_share": 0.0})
    slide = make(SlideSettings(content="sputum", sputum=smear), 7)
    tiles = range(150, 162)
    all_of_it = slide.scene(tiles.start * 223.6, 12_000.0, 100, 100, 32.0)
    places = [(o.x_um, o.y_um) for o in all_of_it.objects if o.kind == AFB]
    lost, seen = 0, 0
    for tile in tiles:
        start = tile * 223.6 + 5.0  # beyond the border, but not beyond the groups that reach over it
        strip = slide.scene(start, 12_000.0, 2, 100, 32.0)
        of_strip = {(o.x_um, o.y_um) for o in strip.objects if o.kind == AFB}
        expected = {(x, y) for x, y in places if 0.0 <= x - start < 20.0}
        lost, seen = lost + len(expected - of_strip), seen + len(expected)
    assert seen > 600
    assert lost == 0


def test_high_power_fields_and_mm2_mean_the_same() -> None:
    by_field = bacilli(whole_smear(4, afb_per_hpf=0.5))
    by_area = bacilli(whole_smear(4, afb_per_mm2=0.5 / 0.0314))
    assert np.array_equal(by_field, by_area)


def test_bacilli_measure_what_was_measured_on_real_smears() -> None:
    scale = 0.05
    palette = draw_palette(None, 0.0, 0.0, np.random.default_rng(0))
    paint = sputum_painter(palette)
    lengths, widths, hues = [], [], []
    for seed in range(120):
        sprite = paint(AFB, scale, np.random.default_rng(seed))
        amount = sprite.od.sum(axis=2)
        lengths.append(np.hypot(sprite.width_um, sprite.height_um))
        widths.append(sprite.thickness_um)
        strong = sprite.od[amount > 0.5 * amount.max()]
        hues.append((strong / np.linalg.norm(strong, axis=1, keepdims=True)).mean(axis=0))
        assert 0.15 < sprite.od[:, :, 1].max() < 1.8
    assert 2.3 < np.median(lengths) < 3.6
    assert np.quantile(lengths, 0.1) > 1.4
    assert np.quantile(lengths, 0.9) < 5.5
    assert min(widths) >= 0.3
    assert max(widths) <= 0.62
    assert np.mean(hues, axis=0) == pytest.approx([0.414, 0.803, 0.428], abs=0.02)


def test_a_smear_has_its_confusers_and_a_blue_film() -> None:
    slide = make(SlideSettings(content="sputum", sputum=SputumSettings(blank_share=0.0)), 6)
    scene = slide.scene(36_000.0, 12_000.0, 700, 500, 4.0)
    kinds = {o.kind for o in scene.objects}
    assert {"leucocyte", "precipitate", "crystal", "red_fibre", "blue_rod", "pink_fold", "squame"} <= kinds
    assert AFB not in kinds
    red = scene.total_od()[:, :, 0]
    assert np.quantile(red, 0.05) > 0.01
    assert np.median(red) < 0.25
