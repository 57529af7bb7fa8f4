"""From scores of cells to one score of a slide: the aggregations that the ablation compares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TOP_K = 10
RATES = (1e-4, 3e-4, 1e-3, 3e-3)


@dataclass(frozen=True)
class SlideCells:
    """Scores of a slide's candidates, higher is more atypical, and how many cells were counted."""

    scores: NDArray[np.float64]
    cells: int


def threshold_for(negatives: Sequence[SlideCells], false_per_cell: float) -> float:
    """The score that `false_per_cell` of the cells of negative slides exceed."""
    scores = np.sort(np.concatenate([s.scores for s in negatives]))[::-1]
    limit = int(false_per_cell * sum(s.cells for s in negatives))
    return float(scores[min(limit, scores.size - 1)]) + 1e-9 if scores.size else math.inf


def poisson_excess(slide: SlideCells, threshold: float, false_per_cell: float) -> float:
    """Signed root of the Poisson deviance of the count over `threshold` from `false_per_cell` of the cells."""
    n = int((slide.scores >= threshold).sum())
    expected = false_per_cell * slide.cells + 0.5
    deviance = 2 * ((n * math.log(n / expected) if n else 0.0) - (n - expected))
    return math.copysign(math.sqrt(max(0.0, deviance)), n - expected)


def share_over(slide: SlideCells, threshold: float) -> float:
    """Share of cells over `threshold`."""
    return float((slide.scores >= threshold).sum()) / max(1, slide.cells)


def top_mean(slide: SlideCells, k: int = TOP_K) -> float:
    """Mean of the k highest scores; missing ones count as the lowest."""
    if slide.scores.size == 0:
        return -math.inf
    best = np.sort(slide.scores)[::-1][:k]
    return float(best.sum() + (k - best.size) * slide.scores.min()) / k


def highest(slide: SlideCells) -> float:
    """The highest score."""
    return float(slide.scores.max()) if slide.scores.size else -math.inf


def aggregate(slides: Sequence[SlideCells], negatives: Sequence[SlideCells]) -> dict[str, NDArray[np.float64]]:
    """Each aggregation's scores of `slides`; thresholds come from `negatives`, slides that are not among them."""
    result = {
        "highest": np.array([highest(s) for s in slides]),
        f"top-{TOP_K} mean": np.array([top_mean(s) for s in slides]),
    }
    for rate in RATES:
        threshold = threshold_for(negatives, rate)
        result[f"share over {rate:g}"] = np.array([share_over(s, threshold) for s in slides])
        result[f"excess over {rate:g}"] = np.array([poisson_excess(s, threshold, rate) for s in slides])
    return result
