"""Figures of merit: ranking quality (`engines.metrics`), and matching of detections to truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.metrics import auroc, auroc_interval, average_precision

__all__ = ["Matches", "auroc", "auroc_interval", "average_precision", "join", "match"]


@dataclass(frozen=True)
class Matches:
    """Detections against truth in one or more fields: score of each detection, whether it is true, how many exist.

    best: for each true object, the highest score that found it (0 when nothing did). places: (N, 2), x and y.
    """

    scores: NDArray[np.float64]
    true: NDArray[np.bool_]
    best: NDArray[np.float64]
    places: NDArray[np.float64]


def match(
    scores: NDArray[np.float64], places: NDArray[np.float64], truth: NDArray[np.float64], reach: NDArray[np.float64]
) -> Matches:
    """Give each detection, best first, the nearest free object within that object's reach.

    scores (N,), places (N, 2), truth (M, 2) and reach (M,) in one unit of length. A second detection of an object
    that is already found is neither true nor false and is left out.
    """
    best = np.zeros(len(truth))
    kept: list[int] = []
    kept_true: list[bool] = []
    for index in np.argsort(-scores, kind="stable"):
        distance = np.hypot(*(truth - places[index]).T) if len(truth) else np.zeros(0)
        near = np.flatnonzero(distance <= reach)
        free = near[best[near] == 0.0]
        if near.size and not free.size:
            continue
        if free.size:
            best[free[np.argmin(distance[free])]] = scores[index]
        kept.append(int(index))
        kept_true.append(bool(free.size))
    chosen = np.array(kept, np.intp)
    return Matches(scores[chosen], np.array(kept_true, np.bool_), best, places[chosen])


def join(parts: list[Matches]) -> Matches:
    """Matches of several fields as one."""
    if not parts:
        return Matches(np.zeros(0), np.zeros(0, np.bool_), np.zeros(0), np.zeros((0, 2)))
    return Matches(
        np.concatenate([p.scores for p in parts]),
        np.concatenate([p.true for p in parts]),
        np.concatenate([p.best for p in parts]),
        np.concatenate([p.places for p in parts]),
    )
