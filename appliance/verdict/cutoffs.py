"""Choosing the cut-offs of a slide score on validation slides."""

from __future__ import annotations

import math
from collections.abc import Sequence


def choose_cutoffs(
    benign: Sequence[float],
    malignant: Sequence[float],
    *,
    sensitivity: float = 0.98,
    specificity: float = 0.995,
) -> dict[str, float]:
    """t1, t2, t3 from the scores of benign and malignant validation slides; a score at a cut-off belongs above it.

    t1: the highest that still finds `sensitivity` of the malignant slides. t3: the lowest that still leaves out
    `specificity` of the benign ones. t2: half-way. Where the two groups lie so far apart that t1 would exceed t3, all
    three share out the gap between them. Raises ValueError without slides of both kinds.
    """
    if not benign or not malignant:
        msg = "slides of both kinds are needed"
        raise ValueError(msg)
    low, high = sorted(benign), sorted(malignant)
    missed = math.floor((1.0 - sensitivity) * len(high) + 1e-9)
    t1 = high[min(missed, len(high) - 1)]
    kept = math.ceil(specificity * len(low) - 1e-9)
    t3 = math.nextafter(low[kept - 1], math.inf)
    if t1 > t3:
        t1, t3 = t3 + (t1 - t3) / 4, t3 + 3 * (t1 - t3) / 4
    return {"t1": t1, "t2": (t1 + t3) / 2, "t3": t3}
