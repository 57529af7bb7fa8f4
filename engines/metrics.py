"""Ranking quality: areas and precision, with intervals by group."""

from __future__ import annotations

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


def spearman(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Correlation of the ranks of two (N,) score lists, ties at their mean rank; nan when either is constant."""
    first, second = rankdata(one), rankdata(other)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])
