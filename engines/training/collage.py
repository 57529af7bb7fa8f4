"""Training tiles laid from real crops, so that nothing but what a crop shows tells where a bacillus is.

Crops lie at random places, turned, scaled, windowed off their centres and blended softly into each other: a network
that sees a regular grid or hard seams learns the grid, not the bacilli.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.training.crops import CROP_UM_PER_PX, Crop, CropSet, to_native
from engines.training.targets import Sample, add_bump

_PATCH = 40
_PITCH_PX = 20
_ROOM_PX = 36
_KNOWN_RADIUS_PX = 6.0
_LONE = 64
_KNOWN_TARGET = 0.3


@dataclass(frozen=True)
class _Patch:
    """A crop ready to be laid: picture (40, 40, 3) about the crop's centre, opacity (40, 40)."""

    picture: NDArray[np.float32]
    opacity: NDArray[np.float32]


class Collages:
    """Makes collages of `side` px from crops; sigma_px: of the bump at each bacillus."""

    def __init__(self, crops: CropSet, native_um_per_px: float, stride: int, sigma_px: float, side: int) -> None:
        self._native = native_um_per_px
        self._factor = CROP_UM_PER_PX / native_um_per_px
        self._stride, self._sigma, self._side = stride, sigma_px, side
        self._positives: dict[int, list[Crop]] = defaultdict(list)
        self._negatives: dict[int, list[Crop]] = defaultdict(list)
        for crop in crops.crops:
            (self._positives if crop.positive else self._negatives)[crop.group].append(crop)
        self._halved = {
            id(crop): cv2.resize(crop.picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            for crop in crops.crops
        }

    def lay(self, rng: np.random.Generator) -> Sample:
        """One collage: background crops of a few sources all over, bacilli on top at places with room.

        As many crops without bacilli, from other sources than the background, lie on top as well: to stand out is no
        sign of a bacillus.
        """
        side, stride = self._side, self._stride
        shape = (1, side // stride, side // stride)
        target, mask = np.zeros(shape, np.float32), np.ones(shape, np.float32)
        negatives = _of_some_sources(self._negatives, rng)
        positives = _of_some_sources(self._positives, rng)
        scale = float(np.exp(rng.uniform(np.log(0.75), np.log(1.4))))
        match = float(rng.choice([0.5, 0.9, 1.0]))
        canvas = np.empty((side + 2 * _PATCH, side + 2 * _PATCH, 3), np.float32)
        canvas[:] = negatives[int(rng.integers(len(negatives)))].picture.mean(axis=(0, 1))
        for x, y in _jittered(side, _PITCH_PX, 8.0, rng):
            _lay(canvas, self._patch(negatives[int(rng.integers(len(negatives)))], scale, rng), (x, y), match)
        share = rng.uniform(0.05, 0.5)
        others = _of_some_sources(self._negatives, rng)
        for x, y in _jittered(side, _ROOM_PX, 5.0, rng):
            draw = rng.random()
            if share <= draw < 2 * share:
                _lay(canvas, self._patch(others[int(rng.integers(len(others)))], scale, rng), (x, y), match)
            elif draw < share:
                patch = self._patch(positives[int(rng.integers(len(positives)))], scale, rng)
                _lay(canvas, patch, (x, y), match)
                self._mark(target[0], mask[0], patch, x, y)
        picture = np.clip(np.rint(canvas[_PATCH:-_PATCH, _PATCH:-_PATCH]), 0, 255).astype(np.uint8)
        return Sample(picture, target, mask)

    def sheet(self, rng: np.random.Generator) -> Sample:
        """Crops side by side, each mirrored outward on its own: how a lone crop is shown to a network.

        Around a bacillus its mirror pictures lie, of which nobody says what they are; they are left out of the loss.
        """
        side, stride = self._side, self._stride
        cells = _LONE // stride
        shape = (1, side // stride, side // stride)
        target, mask = np.zeros(shape, np.float32), np.ones(shape, np.float32)
        picture = np.full((side, side, 3), 200, np.uint8)
        everything = (self._positives, self._negatives)
        for top in range(0, side - _LONE + 1, _LONE):
            for left in range(0, side - _LONE + 1, _LONE):
                by_source = everything[int(rng.integers(2))]
                source = sorted(by_source)[int(rng.integers(len(by_source)))]
                crop = by_source[source][int(rng.integers(len(by_source[source])))]
                scale = float(np.exp(rng.uniform(np.log(0.85), np.log(1.2))))
                picture[top : top + _LONE, left : left + _LONE] = to_native(crop, self._native / scale, _LONE)
                if crop.positive:
                    area = np.s_[0, top // stride : top // stride + cells, left // stride : left // stride + cells]
                    add_bump(target[0], left + _LONE // 2, top + _LONE // 2, stride, self._sigma)
                    mask[area] = (target[area] > _KNOWN_TARGET).astype(np.float32)
        return Sample(picture, target, mask)

    def _patch(self, crop: Crop, scale: float, rng: np.random.Generator) -> _Patch:
        small = self._halved[id(crop)]
        factor = 2 * self._factor * scale * float(rng.uniform(0.9, 1.1))
        angle = float(rng.uniform(0, 2 * np.pi))
        flip = 1.0 if rng.random() < 0.5 else -1.0
        cos, sin = factor * np.cos(angle), factor * np.sin(angle)
        linear = np.array([[cos * flip, -sin], [sin * flip, cos]])
        centre = np.array([(small.shape[1] - 1) / 2, (small.shape[0] - 1) / 2])
        matrix = np.hstack([linear, (np.full(2, _PATCH / 2) - linear @ centre)[:, None]])
        soft = cv2.GaussianBlur(small, (0, 0), max(0.3, 0.3 / factor))
        size = (_PATCH, _PATCH)
        picture = cv2.warpAffine(soft, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        reach = factor * small.shape[0] / 2
        return _Patch(picture.astype(np.float32), _opacity(reach, rng))

    def _mark(self, target: NDArray[np.float32], mask: NDArray[np.float32], patch: _Patch, x: float, y: float) -> None:
        """A bump where the bacillus is; the rest of its patch may hold others and is left out of the loss."""
        stride = self._stride
        rows = np.arange(target.shape[0])[:, None] * stride - y
        cols = np.arange(target.shape[1])[None, :] * stride - x
        half = _PATCH // 2
        inside = (np.abs(rows) < half) & (np.abs(cols) < half)
        covered = np.zeros(target.shape, np.bool_)
        at_row = np.clip(np.rint(rows + half), 0, _PATCH - 1).astype(np.intp)
        at_col = np.clip(np.rint(cols + half), 0, _PATCH - 1).astype(np.intp)
        covered[inside] = (
            patch.opacity[np.broadcast_to(at_row, target.shape), np.broadcast_to(at_col, target.shape)][inside] > 0.1
        )
        mask[covered & (np.hypot(rows, cols) > _KNOWN_RADIUS_PX)] = 0.0
        add_bump(target, x, y, stride, self._sigma)


def _of_some_sources(by_source: dict[int, list[Crop]], rng: np.random.Generator) -> list[Crop]:
    names = sorted(by_source)
    count = min(len(names), int(rng.choice([1, 2, 4, 16])))
    return [crop for name in rng.choice(names, count, replace=False) for crop in by_source[int(name)]]


def _jittered(side: int, pitch: int, jitter: float, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Places on a randomly shifted, jittered grid over the tile and a margin, in random order."""
    shift = rng.uniform(0, pitch, 2)
    steps = np.arange(-pitch, side + pitch, pitch)
    grid = np.stack(np.meshgrid(steps + shift[0], steps + shift[1]), axis=-1).reshape(-1, 2)
    places = rng.permutation(grid + rng.uniform(-jitter, jitter, grid.shape))
    return [(float(round(x)), float(round(y))) for x, y in places]


def _opacity(reach: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """A turned box with soft edges that lies within the crop and is not centred on it."""
    half = reach * rng.uniform(0.7, 1.0, 2)
    shift = rng.uniform(-1, 1, 2) * np.minimum(reach - half + 1.0, 4.0)
    angle = rng.uniform(0, np.pi)
    rows, cols = np.mgrid[0:_PATCH, 0:_PATCH] - _PATCH / 2
    along = (cols - shift[0]) * np.cos(angle) + (rows - shift[1]) * np.sin(angle)
    across = -(cols - shift[0]) * np.sin(angle) + (rows - shift[1]) * np.cos(angle)
    depth = np.minimum(half[0] - np.abs(along), half[1] - np.abs(across))
    border = np.minimum(np.minimum(rows, cols) + _PATCH / 2, _PATCH / 2 - 1 - np.maximum(rows, cols))
    softness = rng.uniform(1.0, 6.0)
    return np.asarray(np.clip(np.minimum(depth, border) / softness, 0.0, 1.0), np.float32)


def _lay(canvas: NDArray[np.float32], patch: _Patch, place: tuple[float, float], match: float) -> None:
    """Blend `patch` into `canvas`, which has a margin of one patch, with the patch's centre at `place` of the tile.

    match: how far the patch takes on the mean colour of what it covers, 0 to 1.
    """
    left, top = int(place[0]) + _PATCH // 2, int(place[1]) + _PATCH // 2
    if not (0 <= left <= canvas.shape[1] - _PATCH and 0 <= top <= canvas.shape[0] - _PATCH):
        return
    area = canvas[top : top + _PATCH, left : left + _PATCH]
    opacity = patch.opacity[..., None]
    shift = ((area - patch.picture) * opacity).sum(axis=(0, 1)) / max(float(opacity.sum()), 1.0)
    area += opacity * (patch.picture + np.float32(match) * shift - area)
