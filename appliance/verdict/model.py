"""The verdict: a suggestion for the slide, with everything a reviewer needs to doubt it."""

from __future__ import annotations

from dataclasses import dataclass, field

UNSATISFACTORY = "unsatisfactory"
STOPPED_EARLY = "stopped_early"
"""Flag: the assay's stopping rule ended the reading before the plan did."""


@dataclass(frozen=True)
class FieldTally:
    """Number of fields by what became of them. captured = usable + blank + failed."""

    planned: int
    captured: int
    usable: int
    blank: int
    failed: int


@dataclass(frozen=True)
class CountEstimate:
    """A count with its exact Poisson 95 % interval, and per mm² of usable area."""

    n: int
    low: float
    high: float
    per_mm2: float


@dataclass(frozen=True)
class Verdict:
    """AI-assisted suggestion for one slide, for review; `unsatisfactory` is a verdict too.

    category: TIS code (ND, NFM, AUS, SFM, MAL), AFB grade (negative, confirm, scanty, 1+, 2+, 3+), or unsatisfactory.
    title: the category in words. reasons: plain sentences, most important first.
    provisional: the grade stands, but less area was read than the table asks for.
    table, operating_point: names with versions of the grading table and of the engine's operating point.
    also: the same counts in other tables, e.g. {"CDC": "2+"}. figures: named numbers (units in the names).
    flags: machine-readable warnings, e.g. "low_cellularity".
    """

    assay: str
    category: str
    title: str
    reasons: tuple[str, ...]
    provisional: bool
    score: float | None
    table: str
    operating_point: str
    counts: dict[str, CountEstimate]
    fields: FieldTally
    area_mm2: float
    figures: dict[str, float] = field(default_factory=dict)
    also: dict[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()

    @property
    def satisfactory(self) -> bool:
        """Whether the slide could be read at all."""
        return self.category != UNSATISFACTORY

    @property
    def stopped_early(self) -> bool:
        """Whether the fields that were not visited were not needed."""
        return STOPPED_EARLY in self.flags
