"""Changes that a slide, a stain, a lamp or a camera makes, and that must not change the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.training.targets import Sample

_SEEK = 0.5
_HARD = 0.35


@dataclass(frozen=True)
class Photometry:
    """How strongly pictures are varied; each figure is a standard deviation or a largest value.

    gain: log gain of each colour. stain: log factor on optical density. gamma: log exponent. hue: mixing of colours.
    blur_px: largest Gaussian blur. noise: largest noise in grey values. jpeg: share of pictures compressed.
    """

    gain: float = 0.12
    stain: float = 0.2
    gamma: float = 0.12
    hue: float = 0.04
    blur_px: float = 0.8
    sharpen: float = 0.6
    noise: float = 4.0
    jpeg: float = 0.4


def vary(picture: NDArray[np.uint8], rng: np.random.Generator, how: Photometry) -> NDArray[np.uint8]:
    """A copy of uint8 RGB `picture` (H, W, 3) under another stain, lamp and camera."""
    light = np.maximum(picture.astype(np.float32), 1.0) / 255.0
    density = -np.log(light)
    base = np.percentile(density[::4, ::4].reshape(-1, 3), 20, axis=0).astype(np.float32)
    mixing = np.eye(3, dtype=np.float32) + rng.normal(0, how.hue, (3, 3)).astype(np.float32)
    density = base + ((density - base) * np.float32(np.exp(rng.normal(0, how.stain)))) @ mixing.T
    density = density * np.float32(np.exp(rng.normal(0, how.gamma)))
    density = density + rng.normal(0, how.gain, 3).astype(np.float32)
    values = np.exp(-density) * 255.0
    values = _focus(values.astype(np.float32), rng, how)
    values += rng.standard_normal(values.shape, dtype=np.float32) * np.float32(rng.uniform(0, how.noise))
    result = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    if rng.random() < how.jpeg:
        quality = int(rng.integers(50, 96))
        _, data = cv2.imencode(".jpg", result, [cv2.IMWRITE_JPEG_QUALITY, quality])
        result = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return result


def _focus(values: NDArray[np.float32], rng: np.random.Generator, how: Photometry) -> NDArray[np.float32]:
    draw = rng.random()
    if draw < 0.4:
        sigma = float(rng.uniform(0.2, how.blur_px))
        return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma), np.float32)
    if draw < 0.6:
        soft = cv2.GaussianBlur(values, (0, 0), 1.2)
        return np.asarray(values + np.float32(rng.uniform(0, how.sharpen)) * (values - soft), np.float32)
    return values


def window(
    pool: Sequence[Sample],
    side: int,
    stride: int,
    rng: np.random.Generator,
    how: Photometry,
    hard: NDArray[np.int64] | None = None,
) -> Sample:
    """A (side, side) window of one sample of the pool, turned, mirrored and varied.

    hard: (N, 3), sample, row and column of cells worth another look; a third of the windows hold one of them. Half of
    the others are placed to hold an object of the first label, where there is one.
    One pixel and one cell more are cut before mirroring and dropped after it, so that cell i stays on pixel i * stride.
    """
    cells = side // stride
    if hard is not None and len(hard) and rng.random() < _HARD:
        index, *cell = hard[int(rng.integers(len(hard)))].tolist()
        whole = pool[index]
        row, col = _placed_to_hold(np.asarray(cell), whole, cells, rng)
    else:
        whole = pool[int(rng.integers(len(pool)))]
        rows, cols = whole.target.shape[1:]
        row, col = int(rng.integers(0, rows - cells)), int(rng.integers(0, cols - cells))
        wanted = np.argwhere(whole.target[0] == 1.0)
        if wanted.size and rng.random() < _SEEK:
            row, col = _placed_to_hold(wanted[int(rng.integers(len(wanted)))], whole, cells, rng)
    maps = (slice(None), slice(row, row + cells + 1), slice(col, col + cells + 1))
    top, left = row * stride, col * stride
    picture = whole.picture[top : top + side + 1, left : left + side + 1]
    target, mask = whole.target[maps], whole.mask[maps]
    if rng.random() < 0.5:
        picture, target, mask = picture[::-1], target[:, ::-1], mask[:, ::-1]
    if rng.random() < 0.5:
        picture, target, mask = picture[:, ::-1], target[:, :, ::-1], mask[:, :, ::-1]
    if rng.random() < 0.5:
        picture, target, mask = picture.transpose(1, 0, 2), target.transpose(0, 2, 1), mask.transpose(0, 2, 1)
    varied = vary(np.ascontiguousarray(picture[:side, :side]), rng, how)
    return Sample(varied, target[:, :cells, :cells].astype(np.float32), mask[:, :cells, :cells].astype(np.float32))


def _placed_to_hold(cell: NDArray[np.int64], whole: Sample, cells: int, rng: np.random.Generator) -> tuple[int, int]:
    """First row and column of a window of `cells` by `cells` that holds `cell`, anywhere in it."""
    first = np.clip(cell - rng.integers(0, cells, 2), 0, np.array(whole.target.shape[1:]) - cells - 1)
    return int(first[0]), int(first[1])
