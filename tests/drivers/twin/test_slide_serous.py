"""A serous slide holds what its settings say, and class is told by shape alone."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from drivers.twin.slide import CLUSTER, NUCLEATED, Interval, Scene, SerousSettings, Slide, SlideSettings, Stain
from drivers.twin.slide import make_slide as make
from drivers.twin.slide.clusters import DEPTH_UM, WIDTH_UM, place_cluster
from drivers.twin.slide.traits import draw_traits

COARSE = 16.0  # µm per pixel: enough to list objects over a large area at little cost
FIELD_MM2 = 0.2


def serous(seed: int, **settings: object) -> Slide:
    return make(SlideSettings(serous=SerousSettings.model_validate(settings)), seed)


def overview(slide: Slide, side_um: float = 4_000.0) -> Scene:
    """The square of a side within the specimen, coarsely."""
    pixels = round(side_um / COARSE)
    return slide.scene(38_000.0 - side_um / 2.0, 13_000.0 - side_um / 2.0, pixels, pixels, COARSE)


def fixed(per_field: float) -> Interval:
    return Interval(low=per_field, high=per_field)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 0.5])
def test_malignant_cells_have_the_share_asked_for(share: float) -> None:
    slide = serous(3, malignant=share, nucleated_per_field=fixed(120.0), rbc_per_field=fixed(0.0))
    cells = [o for o in overview(slide).objects if o.kind in NUCLEATED]
    malignant = sum(o.malignant for o in cells)
    assert len(cells) > 3_000
    if share == 0.0:
        assert malignant == 0
    else:
        # clusters come whole, so counts vary more than by chance alone
        spread = 4.0 * np.sqrt(20.0 * share / len(cells))
        assert abs(malignant / len(cells) - share) < spread
    assert all((o.kind == "malignant") == o.malignant for o in cells)


def test_density_follows_the_settings_and_is_uneven() -> None:
    slide = serous(11, nucleated_per_field=fixed(200.0), rbc_per_field=fixed(0.0), blank_share=0.0)
    cells = [o for o in overview(slide, 5_000.0).objects if o.kind in NUCLEATED]
    inside = [o for o in cells if np.hypot(o.x_um - 38_000.0, o.y_um - 13_000.0) < 2_400.0]
    per_field = len(inside) / (np.pi * 2.4**2) * FIELD_MM2
    assert 120.0 < per_field < 300.0
    squares = Counter((int(o.x_um // 500), int(o.y_um // 500)) for o in inside)
    assert np.var(list(squares.values())) > 2.0 * np.mean(list(squares.values()))
    assert not [o for o in cells if np.hypot(o.x_um - 38_000.0, o.y_um - 13_000.0) > 3_100.0]


def test_reactive_cells_are_few_but_there() -> None:
    shares = []
    for seed in range(5):
        slide = serous(seed, nucleated_per_field=fixed(70.0), rbc_per_field=fixed(0.0))
        cells = [o for o in overview(slide, 3_000.0).objects if o.kind in NUCLEATED]
        shares.append(sum(o.kind == "reactive" for o in cells) / len(cells))
    assert min(shares) > 0.005
    assert max(shares) < 0.07


def test_blank_fields_occur_as_often_as_asked() -> None:
    blank, fields = 0, 0
    for seed in range(12):
        slide = serous(seed, nucleated_per_field=fixed(40.0), rbc_per_field=fixed(0.0), blank_share=0.1)
        objects = [o for o in overview(slide).objects if o.kind in NUCLEATED]
        seen = {(int((o.x_um - 36_000.0) // 565), int((o.y_um - 11_000.0) // 354)) for o in objects}
        all_fields = {(i, j) for i in range(7) for j in range(11)}
        blank += len(all_fields - seen)
        fields += len(all_fields)
    assert 0.04 < blank / fields < 0.18


@pytest.mark.parametrize("kind", ["mesothelial", "malignant"])
def test_clusters_are_deep_balls_of_either_class(kind: str) -> None:
    clusters = [place_cluster(kind, (0.0, 0.0), 50.0, 1, np.random.default_rng(seed)) for seed in range(150)]
    depths = np.array([c.depth_um for c in clusters])
    assert DEPTH_UM == (15.0, 40.0)
    assert depths.min() >= 15.0
    assert depths.max() <= 40.0
    assert np.ptp(depths) > 10.0
    assert all(c.malignant == (kind == "malignant") for c in clusters)
    for cluster in clusters:
        heights = [member.z_um for member in cluster.members]
        assert np.ptp(heights) == pytest.approx(cluster.depth_um - 5.0)
        assert 4 <= len(heights) <= 120
        assert WIDTH_UM[0] * 0.5 < max(cluster.width_um, cluster.height_um) < WIDTH_UM[1] * 1.5


def test_clusters_of_both_classes_reach_through_many_layers_of_a_scene() -> None:
    slide = serous(2, malignant=0.3, benign_clustered=0.3, nucleated_per_field=fixed(200.0), rbc_per_field=fixed(0.0))
    scene = overview(slide, 2_500.0)
    balls = [o for o in scene.objects if o.kind == CLUSTER]
    members = [o for o in scene.objects if o.in_cluster]
    assert {ball.malignant for ball in balls} == {True, False}
    assert len(members) > 3 * len(balls)
    assert min(layer.z_um for layer in scene.layers) < -12.0
    for malignant in (True, False):
        assert np.ptp([m.z_um for m in members if m.malignant == malignant]) > 12.0


def test_benign_and_malignant_traits_overlap_one_by_one() -> None:
    rng = np.random.default_rng(4)
    reactive = [draw_traits("reactive", rng) for _ in range(2_000)]
    malignant = [draw_traits("malignant", rng) for _ in range(2_000)]
    for name in ("nucleus_um", "irregular", "grain_um", "clearing", "offset"):
        ours = np.array([getattr(t, name) for t in malignant])
        theirs = np.array([getattr(t, name) for t in reactive])
        area = auc(np.concatenate([ours, theirs]), np.repeat([True, False], 2_000))
        assert 0.55 < area < 0.9, name
    for name in ("cytoplasm", "warm", "thickness_um", "cell_irregular"):
        ours, theirs = ([getattr(t, name) for t in group] for group in (malignant, reactive))
        assert np.mean(ours) == pytest.approx(np.mean(theirs), abs=0.15 * np.std(theirs)), name


def auc(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    rank = np.argsort(np.argsort(score))
    ones = int(positive.sum())
    return float((rank[positive].sum() - ones * (ones - 1) / 2) / (ones * (len(score) - ones)))


def logistic(x: NDArray[np.float64], y: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weights of a logistic regression with a little ridge, by Newton steps; the last one is the constant."""
    design = np.c_[x, np.ones(len(x))]
    weights = np.zeros(design.shape[1])
    for _ in range(60):
        p = 1.0 / (1.0 + np.exp(-design @ weights))
        curve = design.T @ (design * (p * (1.0 - p))[:, None]) + 1e-2 * np.eye(len(weights))
        weights -= 0.5 * np.linalg.solve(curve, design.T @ (p - y))
    return weights


def box_means(scene: Scene, scale: float) -> tuple[list[NDArray[np.float64]], list[bool]]:
    """Mean transmission in the box of every single cell, and its class."""
    light = np.power(10.0, -scene.total_od())
    means, classes = [], []
    for o in scene.objects:
        if o.kind not in NUCLEATED or o.in_cluster:
            continue
        row, col = (o.y_um - scene.y0_um) / scale, (o.x_um - scene.x0_um) / scale
        high, wide = o.height_um / scale / 2.0, o.width_um / scale / 2.0
        box = light[
            max(0, round(row - high)) : round(row + high) + 1, max(0, round(col - wide)) : round(col + wide) + 1
        ]
        means.append(np.log(box.reshape(-1, 3).mean(axis=0, dtype=np.float64)))
        classes.append(o.malignant)
    return means, classes


def test_colour_alone_does_not_tell_the_class() -> None:
    scale = 0.8
    sets: list[list[tuple[NDArray[np.float64], bool]]] = [[], []]
    for seed in range(16):
        slide = serous(
            seed,
            malignant=0.3,
            clustered=0.1,
            nucleated_per_field=fixed(200.0),
            rbc_per_field=fixed(100.0),
            stain=Stain.PAP if seed % 4 < 2 else Stain.LIU,
            blank_share=0.0,
        )
        scene = slide.scene(37_700.0, 12_700.0, 600, 600, scale)
        sets[seed % 2] += list(zip(*box_means(scene, scale), strict=True))
    scores = []
    for train, test in (sets, sets[::-1]):
        x, y = (np.array(column) for column in zip(*train, strict=True))
        x_test, y_test = (np.array(column) for column in zip(*test, strict=True))
        middle, spread = x.mean(axis=0), x.std(axis=0)
        weights = logistic((x - middle) / spread, y)
        scores.append(auc((x_test - middle) / spread @ weights[:3], y_test))
        assert len(y) > 1_000
    assert max(scores) <= 0.62
    assert np.mean(scores) <= 0.60
