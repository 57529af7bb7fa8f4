"""Figures of merit of slide verdicts, with intervals by drawing slides again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

_ROUNDS = 2000


def auroc(positive: Floats, negative: Floats) -> float:
    """Probability that a positive slide scores above a negative one; ties count half."""
    difference = positive[:, None] - negative[None, :]
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


def auroc_interval(positive: Floats, negative: Floats, rng: np.random.Generator) -> list[float]:
    """95 % interval of the AUROC, drawing slides of each kind with replacement."""
    values = [auroc(rng.choice(positive, len(positive)), rng.choice(negative, len(negative))) for _ in range(_ROUNDS)]
    return [float(v) for v in np.percentile(values, [2.5, 97.5])]


def share_interval(hits: NDArray[np.bool_], rng: np.random.Generator) -> list[float]:
    """95 % interval of a share of slides, drawing them with replacement."""
    values = [float(rng.choice(hits, len(hits)).mean()) for _ in range(_ROUNDS)]
    return [float(v) for v in np.percentile(values, [2.5, 97.5])]


def exact_share(hits: int, of: int) -> list[float] | None:
    """A share with its exact 95 % interval, which is wide where few were seen and above 0 where none was.

    None where `of` is 0. Source: Clopper and Pearson, Biometrika 26 (1934), 404.
    """
    if of == 0:
        return None
    interval = stats.binomtest(hits, of).proportion_ci(0.95, method="exact")
    return [hits / of, float(interval.low), float(interval.high)]


def weighted_kappa(truth: Sequence[int], said: Sequence[int], ranks: int) -> float:
    """Cohen's kappa of two rankings of the same slides with quadratic weights; nan when chance explains all."""
    table = np.zeros((ranks, ranks))
    np.add.at(table, (np.array(truth), np.array(said)), 1.0)
    weights = np.subtract.outer(np.arange(ranks), np.arange(ranks)) ** 2
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    by_chance = float((weights * expected).sum())
    return 1.0 - float((weights * table).sum()) / by_chance if by_chance else float("nan")


def count(items: Sequence[tuple[int, int]], wrong: Callable[[int, int], bool]) -> int:
    """How many pairs (truth, said) are wrong in some way."""
    return sum(wrong(truth, said) for truth, said in items)
