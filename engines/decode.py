"""From probability maps to detections: local maxima, one per object, placed in pixels of the frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.scorer import Detection


@dataclass(frozen=True)
class LabelMap:
    """How one channel is read; lengths in pixels of the frame. See `engines.package.Label`."""

    name: str
    target: bool
    width_px: float
    height_px: float
    separation_px: float


@dataclass(frozen=True)
class Peaks:
    """Local maxima of one map: probability, and centre in pixels of the frame; all of shape (N,), best first."""

    probability: NDArray[np.float32]
    x_px: NDArray[np.float32]
    y_px: NDArray[np.float32]

    def keep(self, chosen: NDArray[np.bool_]) -> Peaks:
        """Those peaks for which `chosen` (N,) holds."""
        return Peaks(self.probability[chosen], self.x_px[chosen], self.y_px[chosen])


def find_peaks(heat: NDArray[np.float32], stride: int, separation_px: float, threshold: float) -> Peaks:
    """Local maxima of `heat` (h, w) that reach `threshold` and are the highest within `separation_px`.

    A plateau counts once, at its centroid; a single cell is placed between cells by a parabola per axis.
    Cell (row, column) is centred on pixel (row * stride, column * stride).
    """
    radius = max(1, round(separation_px / stride))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    kernel[radius - 1 : radius + 2, radius - 1 : radius + 2] = 1  # touching cells are never two peaks
    highest = cv2.dilate(heat, kernel, borderType=cv2.BORDER_REPLICATE)
    mask = ((heat >= highest) & (heat >= threshold)).astype(np.uint8)
    count, _, stats, centroids = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count <= 1:
        empty = np.zeros(0, np.float32)
        return Peaks(empty, empty, empty)
    columns, rows = centroids[1:, 0], centroids[1:, 1]
    at_row, at_col = np.rint(rows).astype(np.intp), np.rint(columns).astype(np.intp)
    single = stats[1:, cv2.CC_STAT_AREA] == 1
    rows = rows + np.where(single, _offset(heat, at_row, at_col, axis=0), 0.0)
    columns = columns + np.where(single, _offset(heat, at_row, at_col, axis=1), 0.0)
    probability = highest[at_row, at_col]
    order = np.argsort(-probability, kind="stable")
    peaks = Peaks(
        probability[order].astype(np.float32),
        (columns[order] * stride).astype(np.float32),
        (rows[order] * stride).astype(np.float32),
    )
    return _suppress_ties(peaks, separation_px)


def decode(
    maps: NDArray[np.float32],
    labels: Sequence[LabelMap],
    stride: int,
    *,
    report_threshold: float,
    finding_threshold: float,
) -> list[Detection]:
    """Detections of one frame, best first within each label, labels in the given order.

    maps: (labels, h, w) probabilities. A non-target that lies where a target reaches `finding_threshold` is the same
    object and is left out; a target below that stays beside it as a weak finding.
    """
    found = [
        find_peaks(heat, stride, label.separation_px, report_threshold)
        for heat, label in zip(maps, labels, strict=True)
    ]
    taken = [
        (peaks.keep(peaks.probability >= finding_threshold), label.separation_px)
        for peaks, label in zip(found, labels, strict=True)
        if label.target
    ]
    detections: list[Detection] = []
    for label, peaks in zip(labels, found, strict=True):
        kept = peaks
        if not label.target:
            for strong, separation in taken:
                kept = kept.keep(~_near(kept, strong, separation))
        detections.extend(
            Detection(label.name, float(p), float(x), float(y), label.width_px, label.height_px)
            for p, x, y in zip(kept.probability, kept.x_px, kept.y_px, strict=True)
        )
    return detections


def _offset(
    heat: NDArray[np.float32], rows: NDArray[np.intp], cols: NDArray[np.intp], axis: int
) -> NDArray[np.float64]:
    """Where between -0.5 and 0.5 cells a parabola through three cells has its top; 0 at the border."""
    size = heat.shape[axis]
    position = rows if axis == 0 else cols
    inside = (position > 0) & (position < size - 1)
    before, after = np.clip(position - 1, 0, size - 1), np.clip(position + 1, 0, size - 1)
    centre = heat[rows, cols].astype(np.float64)
    low = heat[before, cols] if axis == 0 else heat[rows, before]
    high = heat[after, cols] if axis == 0 else heat[rows, after]
    bend = low.astype(np.float64) + high - 2 * centre
    top = np.where(bend < 0, 0.5 * (low.astype(np.float64) - high) / np.where(bend < 0, bend, 1.0), 0.0)
    return np.where(inside, np.clip(top, -0.5, 0.5), 0.0)


def _near(peaks: Peaks, others: Peaks, distance_px: float) -> NDArray[np.bool_]:
    if peaks.x_px.size == 0 or others.x_px.size == 0:
        return np.zeros(peaks.x_px.size, np.bool_)
    dx = peaks.x_px[:, None] - others.x_px[None, :]
    dy = peaks.y_px[:, None] - others.y_px[None, :]
    return np.asarray((np.hypot(dx, dy) < distance_px).any(axis=1))


def _suppress_ties(peaks: Peaks, distance_px: float) -> Peaks:
    """Drop a peak that has an equally high one nearby but not adjacent; sorted input, first one stays."""
    same = np.flatnonzero(np.diff(peaks.probability) == 0)
    if same.size == 0:
        return peaks
    keep = np.ones(peaks.probability.size, np.bool_)
    for first in range(peaks.probability.size - 1):
        if not keep[first]:
            continue
        second = first + 1
        while second < keep.size and peaks.probability[second] == peaks.probability[first]:
            gap = np.hypot(peaks.x_px[second] - peaks.x_px[first], peaks.y_px[second] - peaks.y_px[first])
            keep[second] &= gap >= distance_px
            second += 1
    return peaks.keep(keep)
