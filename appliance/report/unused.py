"""Fields that do not count towards the verdict, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.records import FieldRecord, Outcome
from appliance.report.text import fixed, ranges, words


@dataclass(frozen=True)
class Group:
    """Fields that share an outcome and a reason."""

    outcome: str
    reason: str
    count: int
    numbers: str


@dataclass(frozen=True)
class Row:
    """One field of the long list."""

    number: int
    outcome: str
    reason: str
    x_mm: str
    y_mm: str
    z_um: str
    exposures: int


def groups_of(fields: Sequence[FieldRecord]) -> tuple[Group, ...]:
    """Failed fields first, then blank ones; within each, the commonest reason first."""
    found: dict[tuple[Outcome, str], list[int]] = {}
    for f in _unused(fields):
        found.setdefault((f.outcome, f.reason), []).append(f.index)
    ordered = sorted(found.items(), key=lambda g: (g[0][0] is Outcome.BLANK, -len(g[1]), g[0][1]))
    return tuple(
        Group(outcome.value, words(reason) or "No reason recorded", len(indices), ranges(indices))
        for (outcome, reason), indices in ordered
    )


def rows_of(fields: Sequence[FieldRecord]) -> tuple[Row, ...]:
    """Every such field with its place; failed ones first."""
    return tuple(
        Row(
            number=f.index,
            outcome=f.outcome.value,
            reason=words(f.reason) or "No reason recorded",
            x_mm=fixed(f.x_um / 1000, 3),
            y_mm=fixed(f.y_um / 1000, 3),
            z_um=fixed(f.focus.z_um, 1),
            exposures=f.focus.exposures,
        )
        for f in _unused(fields)
    )


def _unused(fields: Sequence[FieldRecord]) -> list[FieldRecord]:
    unused = (f for f in fields if f.outcome is not Outcome.USABLE)
    return sorted(unused, key=lambda f: (f.outcome is Outcome.BLANK, f.index))
