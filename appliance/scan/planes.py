"""Two planes of one field, read as one: an object seen in both counts once, as the plane says that shows it better."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.records import Finding
from appliance.scan.interpret import Interpretation, ReadingRules
from engines.scorer import Detection


@dataclass(frozen=True)
class TwoPlanes:
    """What both planes of a field say together.

    counts: objects per label. findings: the first plane's, then the second's. seen_better: position of a finding →
    position of the one that stands for the same object.
    """

    counts: dict[str, int]
    findings: tuple[Finding, ...]
    seen_better: dict[int, int]


def read_together(
    first: Interpretation, second: Interpretation, rules: ReadingRules, within_um: float, um_per_px: float
) -> TwoPlanes:
    """Findings of one label no more than within_um apart are one object; each has at most one in the other plane.

    What is no target is counted in the first plane alone, where the carpet of cells is in focus, and not where the
    second plane shows a target that counts: the network itself takes two that lie so near for one.
    """
    start, findings = len(first.findings), (*first.findings, *second.findings)
    better: dict[int, int] = {}
    twice: set[int] = set()
    for one, two in _pairs(first.findings, second.findings, within_um):
        weaker, stronger = sorted((one, start + two), key=lambda n: findings[n].probability)
        better[weaker] = stronger
        if first.findings[one].probability >= rules.count_from:
            twice.add(two)
    counts = Counter(first.counts)
    counts.update(
        finding.label
        for n, finding in enumerate(second.findings)
        if finding.probability >= rules.count_from and n not in twice
    )
    strong = [d for d in second.counted if d.label in rules.targets]
    others = [d for d in first.counted if d.label not in rules.targets]
    counts.subtract(d.label for d in others if any(_apart_px(d, s) * um_per_px <= within_um for s in strong))
    return TwoPlanes(dict(+counts), findings, better)


def _pairs(first: Sequence[Finding], second: Sequence[Finding], within_um: float) -> list[tuple[int, int]]:
    """Positions in both that are one object: the nearest pair first, each finding in one pair at most."""
    near = sorted(
        (apart_um, a, b)
        for a, one in enumerate(first)
        for b, two in enumerate(second)
        if one.label == two.label and (apart_um := math.hypot(one.x_um - two.x_um, one.y_um - two.y_um)) <= within_um
    )
    pairs: list[tuple[int, int]] = []
    for _, a, b in near:
        if not any(a == taken_a or b == taken_b for taken_a, taken_b in pairs):
            pairs.append((a, b))
    return pairs


def _apart_px(one: Detection, two: Detection) -> float:
    return math.hypot(one.x_px - two.x_px, one.y_px - two.y_px)
