"""Training data: splits that do not leak, targets that lie on their objects, whatever is done to a tile."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.training import seeds
from engines.training.augment import Photometry, window
from engines.training.collage import Collages
from engines.training.crops import Crop, CropSet, part_of, read_crops, select, to_native
from engines.training.metrics import auroc, auroc_interval, average_precision, join, match
from engines.training.pools import build_pool
from engines.training.targets import Sample, add_bump

MILD = Photometry(gain=0, stain=0, gamma=0, hue=0, blur_px=0.3, sharpen=0, noise=0, jpeg=0)


def test_seed_ranges_never_meet() -> None:
    ranges = [seeds.TRAINING, seeds.VALIDATION, seeds.CALIBRATION, seeds.TEST]
    for one, other in combinations(ranges, 2):
        assert one.stop <= other.start or other.stop <= one.start
    assert min(r.start for r in ranges) >= 1_000_000


def test_a_source_picture_is_in_one_part_only_and_a_fifth_is_held_back() -> None:
    parts = [part_of(group) for group in range(1, 1001)]
    assert parts.count("test") == 200
    assert parts.count("validation") == 100
    assert set(parts) == {"test", "validation", "training"}


def test_real_crops_split_by_source(real_data: Path) -> None:
    everything = read_crops(real_data / "zn_sputum_crops")
    groups = {part: {c.group for c in select(everything, part).crops} for part in ("training", "validation", "test")}
    for one, other in combinations(groups.values(), 2):
        assert not one & other
    assert sum(len(select(everything, part).crops) for part in groups) == len(everything.crops)
    assert everything.unreadable == ()


def test_unreadable_crops_are_named_not_fatal(tmp_path: Path) -> None:
    for name in ("afb", "non_afb"):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "TB_Image_0007_01.jpg"), np.full((100, 100, 3), 90, np.uint8))
    (tmp_path / "afb" / "TB_Image_0008_01.jpg").write_bytes(b"no picture")
    (tmp_path / "afb" / "nameless.jpg").write_bytes((tmp_path / "afb" / "TB_Image_0007_01.jpg").read_bytes())
    crops = read_crops(tmp_path)
    assert [(c.group, c.positive) for c in crops.crops] == [(7, True), (7, False)]
    assert set(crops.unreadable) == {"TB_Image_0008_01.jpg", "nameless.jpg"}
    with pytest.raises(FileNotFoundError, match="afb"):
        read_crops(tmp_path / "afb")


def _crop(*, positive: bool, group: int) -> Crop:
    picture = np.full((100, 100, 3), (180, 180, 150), np.uint8)
    if positive:
        cv2.line(picture, (30, 50), (70, 50), (200, 20, 60), 14)
    return Crop(picture, group, positive, "made")


def _redness(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    values = picture.astype(np.float32)
    return np.asarray(cv2.GaussianBlur(values[..., 0] - values[..., 1], (0, 0), 2))


def test_a_crop_keeps_its_centre_at_the_networks_scale() -> None:
    small = to_native(_crop(positive=True, group=1), 0.1465, 64)
    rows, cols = np.nonzero(_redness(small) > 60)
    assert small.shape == (64, 64, 3)
    assert abs(rows.mean() - 32) < 1.5
    assert abs(cols.mean() - 32) < 1.5


def test_collages_mark_bacilli_where_they_lie() -> None:
    crops = CropSet(tuple(_crop(positive=p, group=g) for g in range(4) for p in (True, False)))
    collages = Collages(crops, 0.1465, 4, 4.0, 256)
    sample = collages.lay(np.random.default_rng(5))
    assert sample.picture.shape == (256, 256, 3)
    assert sample.target.shape == sample.mask.shape == (1, 64, 64)
    rows, cols = np.nonzero(sample.target[0] * sample.mask[0] == 1.0)
    assert len(rows) > 3
    red = _redness(sample.picture)
    inside = (rows > 2) & (rows < 61) & (cols > 2) & (cols < 61)
    reddest = cv2.dilate(red, np.ones((13, 13), np.uint8))
    assert np.all(reddest[rows[inside] * 4, cols[inside] * 4] > 40)
    # What is red and not left out of the loss lies on a bump.
    unmarked = (red[::4, ::4] > 60) & (sample.mask[0] == 1.0) & (sample.target[0] < 0.1)
    assert unmarked[3:-3, 3:-3].sum() == 0


def test_windows_keep_objects_on_their_targets() -> None:
    picture = np.full((120, 120, 3), 100, np.uint8)
    target = np.zeros((1, 15, 15), np.float32)
    rng = np.random.default_rng(0)
    for row, col in rng.integers(1, 14, (12, 2)).tolist():
        picture[row * 8 - 2 : row * 8 + 3, col * 8 - 2 : col * 8 + 3] = 250
        add_bump(target[0], col * 8, row * 8, 8, 6.0)
    pool = [Sample(picture, target, np.ones_like(target))]
    for seed in range(40):
        sample = window(pool, 64, 8, np.random.default_rng(seed), MILD)
        assert sample.picture.shape == (64, 64, 3)
        assert sample.target.shape == sample.mask.shape == (1, 8, 8)
        bright = sample.picture[::8, ::8, 0] > 180
        assert np.array_equal(bright, sample.target[0] == 1.0)


def test_some_windows_hold_what_is_worth_another_look() -> None:
    picture = np.full((400, 400, 3), 100, np.uint8)
    picture[296:305, 96:105] = 250
    nothing = np.zeros((1, 50, 50), np.float32)
    pool = [Sample(np.full_like(picture, 100), nothing, nothing), Sample(picture, nothing, nothing)]
    hard = np.array([[1, 37, 12]])  # the sample, and the cell of its bright square

    def share(places: NDArray[np.int64] | None) -> float:
        drawn = [window(pool, 64, 8, np.random.default_rng(seed), MILD, places) for seed in range(200)]
        return float(np.mean([sample.picture.max() > 180 for sample in drawn]))

    assert share(hard) > 0.3
    assert share(None) < 0.1


def _noise(rng: np.random.Generator, _: int) -> Sample:
    picture = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Sample(picture, np.zeros((1, 2, 2), np.float32), np.ones((1, 2, 2), np.float32))


def _same(first: list[Sample], second: list[Sample]) -> bool:
    return all(np.array_equal(a.picture, b.picture) for a, b in zip(first, second, strict=True))


def test_a_pool_is_made_once(tmp_path: Path) -> None:
    made: list[int] = []

    def make(rng: np.random.Generator, index: int) -> Sample:
        made.append(index)
        return _noise(rng, index)

    first = build_pool(tmp_path / "pool", 3, 7, make)
    again = build_pool(tmp_path / "pool", 3, 7, make)
    assert made == [0, 1, 2]
    assert _same(first, again)


def test_a_pool_goes_on_where_it_stopped_and_is_the_same_whoever_made_it(tmp_path: Path) -> None:
    whole = build_pool(tmp_path / "whole", 30, 7, _noise)
    side_by_side = build_pool(tmp_path / "parts", 30, 7, _noise, workers=2)
    assert _same(whole, side_by_side)
    lost = sorted((tmp_path / "parts").iterdir())[1]
    lost.unlink()
    assert _same(whole, build_pool(tmp_path / "parts", 30, 7, _noise))


def test_a_pool_whose_worker_fails_says_so(tmp_path: Path) -> None:
    def broken(rng: np.random.Generator, index: int) -> Sample:
        raise ValueError("no slide")

    with pytest.raises(ChildProcessError, match="pool"):
        build_pool(tmp_path / "pool", 30, 7, broken, workers=2)


def test_ranking_figures_on_known_scores() -> None:
    scores, positive = np.array([0.9, 0.8, 0.7, 0.1]), np.array([True, False, True, False])
    assert auroc(scores, positive) == 0.75
    assert average_precision(scores, positive) == pytest.approx((1 + 2 / 3) / 2)
    assert auroc(np.ones(4), positive) == 0.5
    groups = np.array([1, 1, 2, 2])
    low, high = auroc_interval(scores, positive, groups, np.random.default_rng(0))
    assert low <= 0.75 <= high
    assert np.isnan(auroc(scores, np.ones(4, np.bool_)))


def test_matching_counts_an_object_once() -> None:
    truth, reach = np.array([[10.0, 10.0], [50.0, 50.0]]), np.array([5.0, 5.0])
    places = np.array([[11.0, 10.0], [9.0, 10.0], [30.0, 30.0]])
    found = match(np.array([0.6, 0.9, 0.7]), places, truth, reach)
    assert found.scores.tolist() == [0.9, 0.7]
    assert found.true.tolist() == [True, False]
    assert found.best.tolist() == [0.9, 0.0]
    nothing = match(np.array([0.5]), np.array([[1.0, 1.0]]), np.zeros((0, 2)), np.zeros(0))
    both = join([found, nothing])
    assert both.true.tolist() == [True, False, False]
    assert join([]).scores.size == 0
