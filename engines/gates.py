"""Does INT8 say what FP32 says? Four gates on scores of the same objects; pure functions, plain results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engines.metrics import auroc, spearman

SPEARMAN = 0.995
AUROC_LOSS = 0.005
SENSITIVITY_LOSS = 0.01
DEFOCUS_CHANGE = 0.02


@dataclass(frozen=True)
class Scores:
    """Scores of the same objects by both networks, (N,) each.

    positive: which are targets. defocus: distance from the focal plane in depths of field, of every object; None where
    it is not known.
    """

    fp32: NDArray[np.float64]
    int8: NDArray[np.float64]
    positive: NDArray[np.bool_]
    defocus: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        sizes = {part.shape for part in (self.fp32, self.int8, self.positive, self.defocus) if part is not None}
        if len(sizes) != 1 or self.fp32.ndim != 1 or self.fp32.size == 0:
            raise ValueError(f"scores of both networks and their truth must be lists of one length, not {sizes}")
        if not (np.isfinite(self.fp32).all() and np.isfinite(self.int8).all()):
            raise ValueError("scores must be finite")


@dataclass(frozen=True)
class Gate:
    """One comparison. fp32, int8: the figure of each network, nan where the gate compares the two directly.

    value: what is held against `limit`; n: objects behind it. A gate whose figure is not defined has not passed.
    """

    name: str
    value: float
    limit: float
    passed: bool
    n: int
    fp32: float = float("nan")
    int8: float = float("nan")


def rank_gate(fp32: NDArray[np.float64], int8: NDArray[np.float64]) -> Gate:
    """Spearman's rank correlation of the two networks' scores, (N,) each; at least 0.995."""
    value = spearman(fp32, int8)
    return Gate("spearman", value, SPEARMAN, bool(value >= SPEARMAN), fp32.size)


def auroc_gate(scores: Scores) -> Gate:
    """Loss of the area under the ROC curve; at most 0.005."""
    before, after = auroc(scores.fp32, scores.positive), auroc(scores.int8, scores.positive)
    return _loss("auroc_loss", before, after, AUROC_LOSS, scores.fp32.size)


def sensitivity_gate(scores: Scores, false_positive_rate: float) -> Gate:
    """Loss of sensitivity when each network has its own threshold at `false_positive_rate`; at most 0.01.

    The threshold is the lowest that lets at most that share of the negatives through.
    """
    before, after = (
        _sensitivity(values, scores.positive, _threshold(values[~scores.positive], false_positive_rate))
        for values in (scores.fp32, scores.int8)
    )
    return _loss("sensitivity_loss", before, after, SENSITIVITY_LOSS, int(scores.positive.sum()))


def defocus_gates(scores: Scores, threshold: float, edges: Sequence[float]) -> list[Gate]:
    """Change of sensitivity at `threshold` in each bin of defocus between `edges`; at most 0.02 either way.

    edges: ascending, in depths of field. Bins without a target are left out; raises ValueError when none has one.
    """
    if scores.defocus is None:
        raise ValueError("defocus is not known of these objects")
    gates = []
    for low, high in pairwise(edges):
        within = scores.positive & (scores.defocus >= low) & (scores.defocus < high)
        if within.any():
            before, after = (float((values[within] >= threshold).mean()) for values in (scores.fp32, scores.int8))
            change = abs(after - before)
            name = f"defocus_{low:g}_{high:g}"
            gates.append(
                Gate(name, change, DEFOCUS_CHANGE, _within(change, DEFOCUS_CHANGE), int(within.sum()), before, after)
            )
    if not gates:
        raise ValueError("no target lies in any bin of defocus")
    return gates


def all_gates(
    scores: Scores, *, false_positive_rate: float, threshold: float | None = None, edges: Sequence[float] = ()
) -> list[Gate]:
    """Every gate that `scores` allow; those of defocus when it is known."""
    gates = [rank_gate(scores.fp32, scores.int8), auroc_gate(scores), sensitivity_gate(scores, false_positive_rate)]
    if scores.defocus is not None and threshold is not None:
        gates += defocus_gates(scores, threshold, edges)
    return gates


def _loss(name: str, before: float, after: float, limit: float, n: int) -> Gate:
    return Gate(name, before - after, limit, _within(before - after, limit), n, before, after)


def _within(value: float, limit: float) -> bool:
    """Rates are quotients of counts: a loss of exactly the limit may lie a rounding above it; nan is not within."""
    return bool(value <= limit + 1e-9)


def _threshold(negatives: NDArray[np.float64], rate: float) -> float:
    allowed = int(rate * negatives.size + 1e-9)
    if negatives.size == 0:
        return float("nan")
    ordered = np.sort(negatives)[::-1]
    return float(np.nextafter(ordered[allowed], np.inf)) if allowed < ordered.size else float("-inf")


def _sensitivity(values: NDArray[np.float64], positive: NDArray[np.bool_], threshold: float) -> float:
    if not positive.any() or np.isnan(threshold):
        return float("nan")
    return float((values[positive] >= threshold).mean())
