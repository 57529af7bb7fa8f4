"""How well scores rank what has the target above what has not, as strict JSON: null with a reason, never NaN."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from engines.metrics import auroc, auroc_interval, average_precision

_DRAWS = 1000


def ranking(
    scores: NDArray[np.float64], positive: NDArray[np.bool_], groups: Sequence[Hashable], what: str, seed: int = 0
) -> dict[str, object]:
    """`auroc`, its 95 % interval by drawing whole groups again, `ap`, `n`, `positives`, `groups`, and `reason`.

    scores, positive, groups: (N,). what: "crops", "fields", "slides", for `reason`: why a figure is null, else null.
    """
    codes = {name: code for code, name in enumerate(dict.fromkeys(groups))}
    members = np.array([codes[name] for name in groups], np.int64)
    with_target = int(positive.sum())
    reason = None
    interval: list[float | None] | None = None
    if with_target in {0, positive.size}:
        reason = f"all {what} are {'with' if with_target else 'without'} the target: nothing to rank them against"
    elif len(codes) < 2:
        reason = f"all {what} are of one group: no interval"
    else:
        low, high = auroc_interval(scores, positive, members, np.random.default_rng(seed), draws=_DRAWS)
        interval = [figure(low), figure(high)]
    return {
        "auroc": figure(auroc(scores, positive)),
        "auroc_ci": interval,
        "ap": figure(average_precision(scores, positive)),
        "n": int(positive.size),
        "positives": with_target,
        "groups": len(codes),
        "reason": reason,
    }


def figure(value: float) -> float | None:
    """Four places; None for what cannot be said."""
    return round(float(value), 4) if np.isfinite(value) else None


def share(hits: NDArray[np.bool_]) -> float | None:
    """Share of `hits` (N,) that hold; None of none."""
    return figure(float(hits.mean())) if hits.size else None
