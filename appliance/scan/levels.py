"""Percentiles of grey levels by counting them, which takes a fraction of the time of sorting pixels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

LEVELS = 256
"""Of a camera's eight bits."""

Levels = NDArray[np.uint8] | NDArray[np.uint16]


def percentile(values: Levels, percent: float) -> float:
    """As `np.percentile` of an array (rows, columns) of whole grey levels: eight bits, or sums of two such."""
    levels = LEVELS if values.dtype == np.uint8 else 2 * LEVELS
    counts = cv2.calcHist([np.ascontiguousarray(values)], [0], None, [levels], [0, levels])
    below = np.cumsum(counts.ravel().astype(np.intp))
    place = percent / 100.0 * (int(below[-1]) - 1)
    low, high = np.searchsorted(below, (np.floor(place), np.ceil(place)), side="right").tolist()
    return float(low + (high - low) * (place % 1.0))
