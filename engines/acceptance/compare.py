"""Two lists of detections of the same picture: which are of one object, and by how much they differ. Pure functions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Seen(Protocol):
    """What a detection and an expected one share."""

    @property
    def label(self) -> str:
        """Its class."""

    @property
    def probability(self) -> float:
        """In [0, 1]."""

    @property
    def x_px(self) -> float:
        """Centre."""

    @property
    def y_px(self) -> float:
        """Centre."""


@dataclass(frozen=True)
class Tolerance:
    """Between two runtimes of one network.

    threshold: probability from which a detection is a finding. reported: from which it is listed at all. targets:
    labels that the assay looks for; of others only the number matters. score: how far a probability may be off. others:
    share by which the number of findings of another label may be off. radius_px: detections of a label nearer than this
    are one object.
    """

    threshold: float
    reported: float
    targets: frozenset[str]
    score: float
    others: float
    radius_px: float

    def decided(self, one: Seen) -> bool:
        """Whether it is a finding in both, or in neither."""
        return not abs(one.probability - self.threshold) <= self.score


@dataclass(frozen=True)
class Difference:
    """pairs: objects in both lists; max_abs_delta: of their probabilities, 0 without any.

    missing, added: findings of targets in the first list only, and in the second only.
    """

    pairs: int
    max_abs_delta: float
    missing: int
    added: int


def difference(first: Sequence[Seen], second: Sequence[Seen], tolerance: Tolerance) -> Difference:
    """What the second list says otherwise than the first."""
    pairs = match(first, second, tolerance.radius_px)
    deltas = [abs(first[one].probability - second[other].probability) for one, other in pairs]
    return Difference(
        pairs=len(pairs),
        max_abs_delta=float(np.max(deltas, initial=0.0)),
        missing=_alone(first, {one for one, _ in pairs}, tolerance),
        added=_alone(second, {other for _, other in pairs}, tolerance),
    )


def match(first: Sequence[Seen], second: Sequence[Seen], radius_px: float) -> list[tuple[int, int]]:
    """Pairs of indices: same label, nearer than `radius_px`, the nearest pair first, each detection in one pair."""
    near = [
        (distance_px, one, other)
        for one, a in enumerate(first)
        for other, b in enumerate(second)
        if a.label == b.label and (distance_px := math.hypot(a.x_px - b.x_px, a.y_px - b.y_px)) < radius_px
    ]
    pairs: list[tuple[int, int]] = []
    taken: tuple[set[int], set[int]] = (set(), set())
    for _, one, other in sorted(near):
        if one not in taken[0] and other not in taken[1]:
            pairs.append((one, other))
            taken[0].add(one)
            taken[1].add(other)
    return pairs


def total(differences: Iterable[Difference]) -> Difference:
    """The same of many pictures together."""
    all_of_them = list(differences)
    return Difference(
        pairs=sum(one.pairs for one in all_of_them),
        max_abs_delta=float(np.max([one.max_abs_delta for one in all_of_them], initial=0.0)),
        missing=sum(one.missing for one in all_of_them),
        added=sum(one.added for one in all_of_them),
    )


def findings(detections: Iterable[Seen], threshold: float) -> Counter[str]:
    """Findings by label."""
    return Counter(one.label for one in detections if one.probability >= threshold)


def same_findings(expected: Sequence[Seen], found: Sequence[Seen], tolerance: Tolerance) -> bool:
    """Whether both give each label the same number of findings.

    Of a target, each expected detection that is not decided may be one or not. Of another label, as many more may come
    and go, as it is not listed where a target is a finding (`engines.decode.decode`); and some do in a crowd, where two
    cells are one peak or two by the last bit.
    """
    wanted, counted = (findings(one, tolerance.threshold) for one in (expected, found))
    undecided = Counter(one.label for one in expected if not tolerance.decided(one))

    def free(label: str) -> int:
        if label in tolerance.targets:
            return undecided[label]
        return undecided.total() + math.ceil(tolerance.others * wanted[label])

    return all(abs(wanted[label] - counted[label]) <= free(label) for label in wanted | counted)


def identical(answers: Sequence[Sequence[Seen]]) -> list[tuple[int, int]]:
    """Pairs of answers that are equal to the last bit; those without any detection say nothing and are left out."""
    told = [(number, list(answer)) for number, answer in enumerate(answers) if answer]
    return [(one, other) for at, (one, a) in enumerate(told) for other, b in told[at + 1 :] if a == b]


def _alone(seen: Sequence[Seen], paired: set[int], tolerance: Tolerance) -> int:
    """Findings of targets that only this list has; not those that the other may just be too low to report."""
    surely = max(tolerance.threshold, tolerance.reported + tolerance.score)
    alone = [one for number, one in enumerate(seen) if number not in paired and one.label in tolerance.targets]
    return sum(not one.probability < surely for one in alone)  # what is no number counts, too
