"""Changes that a slide, a stain, a lamp or a camera makes, and that must not change the answer."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


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
    values += rng.normal(0, 1, values.shape).astype(np.float32) * np.float32(rng.uniform(0, how.noise))
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


def turn(
    picture: NDArray[np.uint8], target: NDArray[np.float32], mask: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    """Transpose of all three (picture (H, W, 3), maps (labels, h, w)) with even odds.

    Flips are left out on purpose: with an even side and a stride, a flipped grid of cells no longer lies on pixels
    i * stride. Rotation of objects comes from the slides and the crops themselves.
    """
    if rng.random() < 0.5:
        return picture, target, mask
    return (
        np.ascontiguousarray(picture.transpose(1, 0, 2)),
        np.ascontiguousarray(target.transpose(0, 2, 1)),
        np.ascontiguousarray(mask.transpose(0, 2, 1)),
    )
