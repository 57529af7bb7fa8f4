"""Objects found against objects that are there, with intervals by slide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engines.metrics import average_precision
from engines.training.fields import Measured
from engines.training.metrics import join

FROC_RATES = (0.001, 0.01, 0.1, 1.0)
_DRAWS = 400
_BINS = 10


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def as_json(self) -> list[float]:
        """[value, low, high], four places."""
        return [round(v, 4) for v in (self.value, self.low, self.high)]


def together(parts: Sequence[Measured]) -> Measured:
    """Several slides as one."""
    return Measured(
        join([part.matches for part in parts]),
        np.concatenate([part.off_focus_um for part in parts]),
        np.concatenate([part.unsure for part in parts]),
        sum(part.area_mm2 for part in parts),
        sum(part.fields for part in parts),
        sum(part.cells for part in parts),
    )


def by_slide(
    parts: Sequence[Measured], figure: Callable[[Measured], float], rng: np.random.Generator, draws: int = _DRAWS
) -> Interval:
    """`figure` over all slides, and its 95 % interval when whole slides are drawn again with replacement."""
    values = [figure(together([parts[i] for i in rng.integers(0, len(parts), len(parts))])) for _ in range(draws)]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return Interval(figure(together(parts)), float(low), float(high))


def froc(measured: Measured, per_field: float, within_um: float = np.inf) -> float:
    """Sensitivity at the threshold that leaves at most `per_field` false findings a field.

    Where so low a rate cannot be seen on so few fields, the threshold is the first without any false finding.
    """
    return measured.sensitivity(measured.threshold_for(per_field * measured.fields), within_um)


def precision_average(measured: Measured) -> float:
    """Average precision of the findings, objects that were never found counted as positives with score 0."""
    missed = int((measured.matches.best == 0.0).sum())
    scores = np.concatenate([measured.matches.scores, np.zeros(missed)])
    true = np.concatenate([measured.matches.true, np.ones(missed, np.bool_)])
    return average_precision(scores, true)


def expected_calibration_error(measured: Measured, floor: float) -> float:
    """Mean distance between a finding's probability and the share of true ones, in ten bins from `floor` to 1."""
    scores, true = measured.matches.scores, measured.matches.true
    inside = scores >= floor
    scores, true = scores[inside], true[inside]
    if not scores.size:
        return float("nan")
    index = np.minimum(((scores - floor) / (1 - floor) * _BINS).astype(np.intp), _BINS - 1)
    gaps = [
        abs(float(scores[index == b].mean()) - float(true[index == b].mean())) * int((index == b).sum())
        for b in range(_BINS)
        if (index == b).any()
    ]
    return float(sum(gaps) / scores.size)
