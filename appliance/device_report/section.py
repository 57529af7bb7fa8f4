"""A section of the report, from which JSON and page are made alike: checks, figures, tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

Value = str | int | float | bool | None
"""None: not known."""


class Part(NamedTuple):
    """Of the acceptance. key: in JSON. title: on the page."""

    key: str
    title: str


DEVICE = Part("device", "Device")
GPU = Part("gpu", "GPU and engine build")
GOLDEN = Part("golden_fields", "Acceptance on golden fields")
SPEED = Part("speed", "Speed")
THERMAL = Part("thermal", "Heat")


@dataclass(frozen=True)
class Check:
    """One thing that has to hold, and what was found, as a sentence."""

    passed: bool
    sentence: str


@dataclass(frozen=True)
class Fact:
    """One figure. key: in JSON, with its unit. label, unit: on the page."""

    key: str
    label: str
    value: Value
    unit: str = ""


@dataclass(frozen=True)
class Table:
    """columns: key in JSON → head on the page. rows: a value for each column. folded: until somebody opens it."""

    key: str
    title: str
    columns: dict[str, str]
    rows: tuple[tuple[Value, ...], ...]
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """What one part has shown; without any check it is not passed."""

    part: Part
    checks: tuple[Check, ...]
    facts: tuple[Fact, ...] = ()
    tables: tuple[Table, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether all of it holds."""
        return bool(self.checks) and all(check.passed for check in self.checks)


def not_passed(part: Part, why: str) -> Section:
    """Of a part that could not run."""
    return Section(part, (Check(False, why),))
