"""What a label-free engine learns from: fields by slide, nuclei by stain, cells changed in place, slide scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.training.label_free.atypia import Change, Traits, apply_change, draw_atypia, draw_sham
from engines.training.label_free.needs import require_training
from engines.training.label_free.nuclei import UM_PER_PX, Nuclei, find_nuclei
from engines.training.label_free.pictures import find_fields, read_field, slide_of
from engines.training.label_free.samples import TILE_PX, Mixing, UnlabelledTile, cut_tiles, to_sample
from engines.training.label_free.statistics import SlideCells, aggregate, poisson_excess, threshold_for, top_mean

from .painted_cells import paint_field

PLAIN = Change(200.0, 200.0, 14.0, 26.0, 0.0, 0.0, 0.0, 1.0, 0)


def _field(*places: tuple[int, int], radius: int = 14, side: int = 400) -> NDArray[np.uint8]:
    """Purple nuclei in pale cells on a light ground."""
    picture = np.full((side, side, 3), (215, 205, 210), np.uint8)
    for place in places:
        cv2.circle(picture, place, 2 * radius, (190, 175, 205), -1, cv2.LINE_AA)
        cv2.circle(picture, place, radius, (70, 45, 120), -1, cv2.LINE_AA)
    return picture


def _tile(*places: tuple[int, int]) -> UnlabelledTile:
    picture = _field(*places)
    return UnlabelledTile("s", picture, find_nuclei(picture))


@pytest.mark.parametrize(
    ("path", "slide"),
    [
        ("S12/field_003.png", "S12"),
        ("a/b/1.png", "a/b"),
        ("S12_003.png", "S12"),
        ("S12-field-3.tif", "S12"),
        ("case7 slideB 04.jpg", "case7 slideB"),
        ("12.png", "12"),
        ("blood.png", "blood"),
    ],
)
def test_the_slide_of_a_picture(path: str, slide: str) -> None:
    assert slide_of(Path(path)) == slide


def test_fields_are_found_in_subfolders_and_beside(tmp_path: Path) -> None:
    (tmp_path / "A").mkdir()
    for name in ("A/1.png", "A/2.PNG", "B_1.jpg", "B_2.tif", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    found = find_fields(tmp_path)
    assert [(f.slide, f.path.name) for f in found] == [
        ("A", "1.png"),
        ("A", "2.PNG"),
        ("B", "B_1.jpg"),
        ("B", "B_2.tif"),
    ]


def test_no_folder_and_no_picture_are_said(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no folder"):
        find_fields(tmp_path / "absent")
    (tmp_path / "readme.txt").write_text("x")
    with pytest.raises(EngineError, match="no picture"):
        find_fields(tmp_path)


def test_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    broken, small, good = tmp_path / "b.png", tmp_path / "s.png", tmp_path / "g.png"
    broken.write_bytes(b"no picture")
    cv2.imwrite(str(small), np.zeros((100, 900, 3), np.uint8))
    cv2.imwrite(str(good), np.full((500, 500, 3), (1, 2, 3), np.uint8))
    assert read_field(broken) is None
    assert read_field(small) is None
    assert read_field(tmp_path / "absent.png") is None
    picture = read_field(good)
    assert picture is not None
    assert picture[0, 0].tolist() == [3, 2, 1]  # RGB


def test_unreadable_pictures_are_listed_and_only_unreadable_ones_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "A_1.png"), _field((200, 200), side=480))
    (tmp_path / "A_2.png").write_bytes(b"no picture")
    tiles = cut_tiles(find_fields(tmp_path), 4, 1)
    assert tiles.unreadable == (str(tmp_path / "A_2.png"),)
    assert tiles.nuclei == 1
    assert len(tiles.tiles) == 2
    assert all(t.picture.shape == (TILE_PX, TILE_PX, 3) for t in tiles.tiles)
    (tmp_path / "A_1.png").write_bytes(b"no picture")
    with pytest.raises(EngineError, match="None of 2 pictures"):
        cut_tiles(find_fields(tmp_path), 4, 1)


def test_nuclei_are_found_where_they_lie_with_their_radius() -> None:
    places = [(60, 80), (200, 200), (240, 200), (330, 300)]
    found = find_nuclei(_field(*places, radius=12))
    assert found.x.size == 4
    for x, y in places:
        near = np.hypot(found.x - x, found.y - y)
        assert near.min() < 3
        assert abs(found.radius[near.argmin()] - 12) < 2.5
    assert find_nuclei(_field((200, 200), (226, 200), radius=12)).x.size == 2  # touching


def test_red_cells_and_blank_fields_hold_no_nuclei() -> None:
    picture = np.full((400, 400, 3), (215, 205, 210), np.uint8)
    assert find_nuclei(picture).x.size == 0
    cv2.circle(picture, (200, 200), 12, (200, 140, 130), -1)
    assert find_nuclei(picture).x.size == 0


def test_an_enlarged_nucleus_is_as_large_as_asked_and_nothing_beyond_it_moves() -> None:
    picture = _field((200, 200), (330, 80))
    before = picture.copy()
    assert apply_change(picture, PLAIN, np.random.default_rng(0))
    found = find_nuclei(picture)
    assert abs(found.radius.max() - 26) < 3.5
    far = np.hypot(*(np.mgrid[0:400, 0:400] - 200)) > 26 * 1.8 + 4
    assert np.array_equal(picture[far], before[far])


def test_chromatin_is_coarser_but_not_darker() -> None:
    smooth, coarse = _field((200, 200)), _field((200, 200))
    apply_change(smooth, PLAIN, np.random.default_rng(1))
    apply_change(coarse, replace(PLAIN, chromatin=0.45, grain_px=2.0), np.random.default_rng(1))
    inner = np.hypot(*(np.mgrid[0:400, 0:400] - 200)) < 20
    od = [-np.log(np.maximum(p[inner], 1) / 215.0)[:, 0] for p in (smooth, coarse)]
    assert od[1].std() > 2 * od[0].std()
    assert abs(od[1].mean() / od[0].mean() - 1) < 0.08


def test_dilution_pales_and_the_border_is_left_alone() -> None:
    plain, pale = _field((200, 200)), _field((200, 200))
    apply_change(plain, PLAIN, np.random.default_rng(1))
    apply_change(pale, replace(PLAIN, dilution=1.0), np.random.default_rng(1))
    assert pale[200, 200].mean() > plain[200, 200].mean() + 20
    edge = _field((10, 200))
    before = edge.copy()
    assert not apply_change(edge, replace(PLAIN, x=10.0), np.random.default_rng(1))
    assert np.array_equal(edge, before)


def test_sizes_of_atypia_lie_above_those_of_shams() -> None:
    rng = np.random.default_rng(0)
    radius = 8.0 / 2 / UM_PER_PX
    large = [draw_atypia(0, 0, radius, Traits(), UM_PER_PX, rng).wanted for _ in range(200)]
    sham = [draw_sham(0, 0, radius, UM_PER_PX, rng).wanted for _ in range(200)]
    assert min(large) * 2 * UM_PER_PX >= 12.0
    assert max(sham) * 2 * UM_PER_PX <= 10.0
    assert draw_atypia(0, 0, 60.0, Traits(), UM_PER_PX, rng).wanted >= 1.15 * 60.0  # never made smaller


def test_samples_mark_changed_nuclei_and_no_others() -> None:
    tile = _tile((100, 100), (300, 120), (200, 300))
    before = tile.picture.copy()
    none = to_sample(tile, Mixing(atypical=0.0, sham=0.0), 8, np.random.default_rng(0))
    assert np.array_equal(none.picture, before)
    assert none.target[0].max() == 0
    every = to_sample(tile, Mixing(atypical=1.0, sham=0.0), 8, np.random.default_rng(0))
    assert np.array_equal(tile.picture, before)
    for x, y in ((100, 100), (300, 120), (200, 300)):
        row, col = round(y / 8), round(x / 8)
        assert none.target[1, row, col] == 1.0
        assert every.target[0, row, col] == 1.0
        assert every.target[1, row, col] < 1.0


def test_nuclei_within_a_window_move_with_it() -> None:
    nuclei = Nuclei(*(np.array(v, np.float32) for v in ([10, 50], [20, 60], [5, 6])))
    inside = nuclei.within(40, 40, 30)
    assert (inside.x.tolist(), inside.y.tolist(), inside.radius.tolist()) == ([10.0], [20.0], [6.0])


def test_painted_fields_have_the_cells_they_say() -> None:
    picture, places = paint_field(np.random.default_rng(0), 480, 12)
    found = find_nuclei(picture)
    gaps = np.hypot(places[:, :1] - found.x[None], places[:, 1:] - found.y[None]).min(axis=1)
    assert (gaps < 5).mean() >= 0.9


def test_slide_scores_on_known_counts() -> None:
    negative = [SlideCells(np.arange(1000) / 1000.0, 1000)]
    threshold = threshold_for(negative, 0.01)
    assert 0.988 < threshold < 0.99
    slide = SlideCells(np.array([2.0, 2.0, 0.1]), 100)
    assert poisson_excess(slide, threshold, 0.01) > 0.3
    assert poisson_excess(replace(slide, cells=10_000), threshold, 0.01) < -8
    assert poisson_excess(SlideCells(np.zeros(0), 0), threshold, 0.01) < 0
    assert top_mean(slide, 2) == 2.0
    assert top_mean(slide, 4) == pytest.approx((2 + 2 + 0.1 + 0.1) / 4)
    scores = aggregate([slide, SlideCells(np.array([0.2]), 100)], negative)
    assert all(values[0] > values[1] for name, values in scores.items() if "over 0.0001" not in name)


def test_training_without_its_packages_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engines.training.label_free.needs.find_spec", lambda name: None if name == "torch" else name)
    with pytest.raises(EngineError, match=r"torch, which is not installed.*\[train\]"):
        require_training()
