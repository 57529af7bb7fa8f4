"""Where nuclei lie, found from stain density alone: no labels, no training.

Dye of nuclei absorbs red and green more than blue; haemoglobin does the opposite. What is much denser than the cells'
bodies is a nucleus. The threshold between bodies and nuclei is found in each picture (Otsu 1979, on what is not
background), and touching nuclei are parted by their distance from the border of the mask.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

UM_PER_PX = 0.293
SMALLEST_UM, LARGEST_UM = 4.0, 30.0
_FAINT = 0.06  # density below which nothing lies
_LEAST = 0.22  # a nucleus is at least this dense; keeps blank fields blank
_APART_UM = 2.6


@dataclass(frozen=True)
class Nuclei:
    """Centres and radii in pixels, (N,) each; radius: of the disc of the same area."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    radius: NDArray[np.float32]

    def within(self, left: int, top: int, side: int) -> Nuclei:
        """Those in a window, placed relative to its corner."""
        x, y = self.x - left, self.y - top
        inside = (x >= 0) & (x < side) & (y >= 0) & (y < side)
        return Nuclei(x[inside], y[inside], self.radius[inside])


def stain_density(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Nuclear dye in uint8 RGB `picture` (H, W, 3) as optical density over the background, (H, W)."""
    values = cv2.GaussianBlur(picture, (0, 0), 1.0).astype(np.float32)
    light = np.maximum(np.percentile(values[::4, ::4].reshape(-1, 3), 95, axis=0), 16.0).astype(np.float32)
    od = -np.log10(np.clip(values, 1.0, None) / light)
    return np.asarray(od[..., 0] + od[..., 1] - od[..., 2], np.float32)


def nuclear_level(density: NDArray[np.float32]) -> float:
    """Density that parts nuclei from cell bodies in one picture."""
    there = density[::2, ::2]
    there = there[there > _FAINT]
    if there.size < 64:
        return _LEAST
    grey = np.clip(there / 2.0 * 255.0, 0, 255).astype(np.uint8)
    level, _ = cv2.threshold(grey.reshape(-1, 1), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return max(_LEAST, float(level) / 255.0 * 2.0)


def find_nuclei(picture: NDArray[np.uint8], um_per_px: float = UM_PER_PX) -> Nuclei:
    """Nuclei of `picture`; one at most within 2.6 µm."""
    density = stain_density(picture)
    mask = (density > nuclear_level(density)).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    mask = cv2.morphologyEx(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel), cv2.MORPH_OPEN, kernel)
    depth = cv2.GaussianBlur(cv2.distanceTransform(mask, cv2.DIST_L2, 5), (0, 0), 1.5)
    reach = max(1, round(_APART_UM / um_per_px))
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    top = (depth >= cv2.dilate(depth, window)) & (depth > SMALLEST_UM / 2 / um_per_px * 0.6)
    count, _, _, centres = cv2.connectedComponentsWithStats(top.astype(np.uint8), connectivity=8)
    if count <= 1:
        return Nuclei(*(np.zeros(0, np.float32) for _ in range(3)))
    x, y = centres[1:, 0], centres[1:, 1]
    row, col = np.rint(y).astype(np.intp), np.rint(x).astype(np.intp)
    radius = _radii(mask, depth, row, col)
    low, high = SMALLEST_UM / 2 / um_per_px, LARGEST_UM / 2 / um_per_px
    kept = (radius >= low) & (radius <= high)
    return Nuclei(x[kept].astype(np.float32), y[kept].astype(np.float32), radius[kept].astype(np.float32))


def _radii(
    mask: NDArray[np.uint8], depth: NDArray[np.float32], row: NDArray[np.intp], col: NDArray[np.intp]
) -> NDArray[np.float64]:
    """From the area of a part of the mask, shared among its nuclei by the squares of their depths."""
    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    part = parts[row, col]
    weight = depth[row, col].astype(np.float64) ** 2
    total = np.bincount(part, weights=weight, minlength=len(stats))
    area = stats[part, cv2.CC_STAT_AREA] * weight / np.maximum(total[part], 1e-9)
    return np.asarray(np.sqrt(area / np.pi), np.float64)
