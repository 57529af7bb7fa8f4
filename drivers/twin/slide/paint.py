"""Brushes: antialiased outlines, grain and blur on a small canvas measured in µm."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_SHIFT = 4  # sub-pixel bits of polygon corners
_CORNERS = 72
Plane = NDArray[np.float32]
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Sprite:
    """A painted object, ready to be stamped.

    od: float32 (h, w, 3). width_um, height_um, angle_rad: its truth box and direction. thickness_um: its depth.
    """

    od: Plane
    width_um: float
    height_um: float
    thickness_um: float
    angle_rad: float = 0.0

    def turned(self, turn: int) -> Sprite:
        """One of its eight mirror images and quarter turns (0 is itself), without copying pixels."""
        od, width, height, angle = self.od, self.width_um, self.height_um, self.angle_rad
        if turn & 4:
            od, width, height, angle = od.transpose(1, 0, 2), height, width, math.pi / 2.0 - angle
        if turn & 1:
            od, angle = od[:, ::-1], math.pi - angle
        if turn & 2:
            od, angle = od[::-1], -angle
        return Sprite(od, width, height, self.thickness_um, math.remainder(angle, math.pi))


def outline(
    radius_um: float,
    rng: np.random.Generator,
    *,
    irregular: float = 0.0,
    smoothness: float = 1.3,
    aspect: float = 1.0,
    angle_rad: float = 0.0,
    indent: float = 0.0,
) -> Points:
    """A closed contour (n, 2) around the origin, in µm.

    irregular: relative amplitude of its bumps, whose share falls with their number to the power `smoothness`.
    aspect: long axis over short. indent: depth of one notch (kidney shape), relative to the radius.
    """
    theta = np.arange(_CORNERS) * (2.0 * math.pi / _CORNERS)
    radius = np.ones(_CORNERS)
    if irregular > 0.0:
        order = np.arange(2, 10)
        amplitude = rng.standard_normal(8) / order**smoothness
        phase = rng.uniform(0.0, 2.0 * math.pi, 8)
        bumps = (amplitude[:, None] * np.cos(order[:, None] * theta + phase[:, None])).sum(axis=0)
        radius += irregular * 2.0 * bumps
    if indent > 0.0:
        radius -= indent * np.exp(-((np.remainder(theta - 1.0 + math.pi, 2.0 * math.pi) - math.pi) ** 2) / 0.35)
    radius = np.clip(radius, 0.3, 2.0) * radius_um
    stretch = math.sqrt(aspect)
    x, y = radius * np.cos(theta) * stretch, radius * np.sin(theta) / stretch
    cos, sin = math.cos(angle_rad), math.sin(angle_rad)
    return np.stack([x * cos - y * sin, x * sin + y * cos], axis=1)


class Canvas:
    """A square of `size_um`, painted at twice the final resolution with the origin in its middle."""

    def __init__(self, size_um: float, um_per_px: float) -> None:
        self._final = max(3, 2 * math.ceil(size_um / um_per_px / 2.0) + 1)
        self._pitch = um_per_px / 2.0
        self.side = 2 * self._final

    def blank(self) -> Plane:
        """An empty plane, float32 (side, side)."""
        return np.zeros((self.side, self.side), np.float32)

    def fill(self, *contours: Points, soft_um: float = 0.0) -> Plane:
        """A mask in [0, 1] of the union of closed contours given in µm, its edge blurred by `soft_um`."""
        mask = self._mask()
        for contour in contours:
            cv2.fillPoly(mask, [self._pixels(contour)], (255,), lineType=cv2.LINE_AA, shift=_SHIFT)
        return self.blur(_plane(mask), soft_um)

    def stroke(self, line: Points, width_um: float, soft_um: float = 0.0) -> Plane:
        """A mask in [0, 1] of an open line of some width."""
        mask = self._mask()
        thickness = max(1, round(width_um / self._pitch))
        cv2.polylines(mask, [self._pixels(line)], False, (255,), thickness, cv2.LINE_AA, _SHIFT)
        return self.blur(_plane(mask), soft_um)

    def spots(self, centres: Points, radii_um: NDArray[np.float64], soft_um: float = 0.0) -> Plane:
        """A mask in [0, 1] of the union of discs; centres (n, 2) in µm."""
        mask = self._mask()
        for corner, radius in zip(self._pixels(centres), radii_um, strict=True):
            size = max(8, round(radius / self._pitch * (1 << _SHIFT)))
            cv2.circle(mask, corner.tolist(), size, (255,), -1, cv2.LINE_AA, _SHIFT)
        return self.blur(_plane(mask), soft_um)

    def blur(self, plane: Plane, sigma_um: float) -> Plane:
        """Gaussian blur; wide ones are made at a lower resolution, which looks the same and costs less."""
        sigma = sigma_um / self._pitch
        if sigma < 0.3:
            return plane
        if sigma <= 4.0:
            return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), dtype=np.float32)
        factor = int(sigma // 2.0)
        small = cv2.resize(plane, None, fx=1.0 / factor, fy=1.0 / factor, interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), sigma / factor)
        return np.asarray(cv2.resize(small, (self.side, self.side), interpolation=cv2.INTER_CUBIC), dtype=np.float32)

    def grain(self, size_um: float, rng: np.random.Generator) -> Plane:
        """Smooth noise of unit variance whose grains measure about `size_um`."""
        cells = max(3, min(self.side, round(self.side * self._pitch / size_um)))
        coarse = rng.standard_normal((cells, cells), dtype=np.float32)
        noise = cv2.resize(coarse, (self.side, self.side), interpolation=cv2.INTER_CUBIC)
        return np.asarray(noise * np.float32(1.25), dtype=np.float32)

    def finish(self, plane: NDArray[np.float32]) -> NDArray[np.float32]:
        """Average down to the final resolution; takes (side, side, n), gives (side / 2, side / 2, n)."""
        averaged = cv2.resize(plane, (self._final, self._final), interpolation=cv2.INTER_AREA)
        return np.asarray(averaged, np.float32).reshape(self._final, self._final, plane.shape[2])

    def _mask(self) -> NDArray[np.uint8]:
        return np.zeros((self.side, self.side), np.uint8)

    def _pixels(self, points: Points) -> NDArray[np.int32]:
        middle = (self.side - 1) / 2.0
        return np.round((points / self._pitch + middle) * (1 << _SHIFT)).astype(np.int32)


def _plane(mask: NDArray[np.uint8]) -> Plane:
    return np.asarray(mask * np.float32(1.0 / 255.0), dtype=np.float32)


def trimmed(od: Plane, faintest: float = 0.003) -> Plane:
    """The same sprite without its clear border, cut evenly on opposite sides so that its middle stays put."""
    each = np.abs(od) > faintest
    strong = each[:, :, 0] | each[:, :, 1] | each[:, :, 2]  # many times faster than to reduce an axis of three
    rows, cols = np.flatnonzero(strong.any(axis=1)), np.flatnonzero(strong.any(axis=0))
    if rows.size == 0:
        return np.zeros((1, 1, 3), np.float32)
    cut_rows = int(min(rows[0], od.shape[0] - 1 - rows[-1]))
    cut_cols = int(min(cols[0], od.shape[1] - 1 - cols[-1]))
    kept = od[cut_rows : od.shape[0] - cut_rows, cut_cols : od.shape[1] - cut_cols]
    return np.ascontiguousarray(kept, dtype=np.float32)
