"""Figures of merit: ranking quality with intervals by group, and matching of detections to truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata


def auroc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve, ties counted half; nan when one class is empty."""
    ones = int(positive.sum())
    zeros = positive.size - ones
    if ones == 0 or zeros == 0:
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def average_precision(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Mean precision at each positive, best score first; nan when there is no positive."""
    if not positive.any():
        return float("nan")
    hits = positive[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(hits) / np.arange(1, hits.size + 1)
    return float(precision[hits].mean())


def auroc_interval(
    scores: NDArray[np.float64],
    positive: NDArray[np.bool_],
    groups: NDArray[np.int64],
    rng: np.random.Generator,
    draws: int = 200,
) -> tuple[float, float]:
    """95 % interval of the AUROC when whole groups are drawn again with replacement."""
    names = np.unique(groups)
    members = {name: np.flatnonzero(groups == name) for name in names}
    values = []
    for _ in range(draws):
        chosen = np.concatenate([members[name] for name in rng.choice(names, names.size)])
        values.append(auroc(scores[chosen], positive[chosen]))
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


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
