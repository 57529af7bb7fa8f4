"""What an assay file says: labels, area to read, adequacy, and the grading table with its name and version."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from appliance.yaml_model import StrictModel

TisCode = Literal["ND", "NFM", "AUS", "SFM", "MAL"]
Text = Annotated[str, Field(min_length=1)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Labels(StrictModel):
    """Names of the network's classes. cells: those that together count the nucleated cells (targets included)."""

    targets: tuple[Text, ...] = Field(min_length=1)
    cells: tuple[Text, ...] = ()


class Stain(StrictModel):
    """Stain, and the range of `ImageQuality.stain_od` (95th percentile of optical density) that is usual for it."""

    name: Text
    min_od: float = Field(ge=0)
    max_od: Positive

    @model_validator(mode="after")
    def _ordered(self) -> Stain:
        if self.min_od >= self.max_od:
            msg = f"min_od ({self.min_od:g}) must be below max_od ({self.max_od:g})"
            raise ValueError(msg)
        return self


class SecondPlaneRule(StrictModel):
    """Which fields are exposed a second time, higher up, since balls of cells stand above what is focused.

    from_probability, min_size_um: a target finding of at least this probability, on a stained patch that holds a disc
    of this diameter, is taken for part of a ball. above_um: how far above the kept frame, towards the objective, the
    second one is taken. same_within_um: findings of both planes no further apart are one object. max_share: of the
    planned fields, at most so many get a second plane.
    """

    from_probability: float = Field(gt=0, le=1)
    min_size_um: Positive
    above_um: float = Field(gt=0, le=50)
    same_within_um: Positive
    max_share: float = Field(gt=0, le=1)


class Reading(StrictModel):
    """How much is read, and how sharp, unless the settings say otherwise.

    focus: "fast" keeps the first frame that is surely within the depth of field, "exact" goes on until it is sharpest.
    second_plane: without it, every field is read in one plane.
    """

    area_mm2: Positive
    min_fields: int = Field(ge=1)
    focus: Literal["fast", "exact"] = "fast"
    second_plane: SecondPlaneRule | None = None

    def fields_to_read(self, field_width_um: float, field_height_um: float) -> int:
        """Number of fields of this size that cover the area, and never fewer than `min_fields`."""
        area = field_width_um * field_height_um / 1e6
        return max(self.min_fields, math.ceil(self.area_mm2 / area - 1e-9))


class Adequacy(StrictModel):
    """When a slide cannot be judged, and when the reader is warned.

    Of one field: field_min_covered: with a smaller stained share it counts as blank. field_max_obscured: with a
    larger dark share (ink, thick blood) it counts as not read.
    Without these the slide cannot be judged: min_area_mm2, min_usable_fields; max_blank_share of the captured fields,
    unless enough_area_mm2 was read all the same; max_ink_share, obscured among the fields that are not blank.
    Without these it needs a rescan: min_usable_share and max_obscured_share, of the fields that are not blank.
    low_cellularity, recommended_volume_ml: advisory only, never a reason to refuse.
    """

    field_min_covered: Share
    field_max_obscured: Share
    min_area_mm2: float = Field(ge=0)
    min_usable_fields: int = Field(ge=1)
    max_blank_share: Share
    enough_area_mm2: Positive
    max_ink_share: Share
    min_usable_share: Share
    max_obscured_share: Share
    low_cellularity: Annotated[int, Field(ge=1)] | None = None
    recommended_volume_ml: Positive | None = None


class HighPowerField(StrictModel):
    """The oil-immersion field to which areas are converted: field number of the eyepiece in mm, at 1000x."""

    field_number_mm: float = Field(ge=10, le=30)

    @property
    def area_mm2(self) -> float:
        """Area of one high-power field: pi (FN / 2 / 100)² mm², with a 100x objective."""
        return math.pi * (self.field_number_mm / 2 / 100) ** 2


class DensityRow(StrictModel):
    """One row of a smear table: its grade begins at, or above, so many objects in 100 high-power fields.

    min_hpf: high-power fields that the table asks to be read before this grade stands.
    """

    grade: Text
    title: Text
    from_per_100_hpf: float | None = Field(default=None, ge=0)
    above_per_100_hpf: float | None = Field(default=None, ge=0)
    min_hpf: Positive | None = None

    @model_validator(mode="after")
    def _one_bound(self) -> DensityRow:
        if (self.from_per_100_hpf is None) == (self.above_per_100_hpf is None):
            msg = "give either from_per_100_hpf (the bound belongs to this row) or above_per_100_hpf (it does not)"
            raise ValueError(msg)
        return self

    @property
    def bound_per_100_hpf(self) -> float:
        """The lower bound, whether or not it belongs to the row."""
        bounds = [bound for bound in (self.from_per_100_hpf, self.above_per_100_hpf) if bound is not None]
        return bounds[0]

    def begins_by(self, per_100_hpf: float) -> bool:
        """Whether so many objects in 100 high-power fields reach this row."""
        if self.from_per_100_hpf is not None:
            return per_100_hpf >= self.from_per_100_hpf
        return per_100_hpf > self.bound_per_100_hpf


class DensityTable(StrictModel):
    """A named, versioned smear table. rows: from the lowest positive grade to the highest.

    none_seen, few_seen: grade and title for no object at all, and for fewer than `few_below` objects.
    """

    name: Text
    version: Text
    source: Text
    none_seen: Text
    none_title: Text
    few_below: int = Field(ge=1)
    few_seen: Text
    few_title: Text
    rows: tuple[DensityRow, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ascending(self) -> DensityTable:
        bounds = [row.bound_per_100_hpf for row in self.rows]
        if bounds != sorted(set(bounds)) or bounds[0] != 0:
            msg = "rows must begin at 0 and ascend"
            raise ValueError(msg)
        return self


class StopEarly(StrictModel):
    """When a reading may end before its plan does; `appliance.verdict.stopping` gives the formula.

    grade: the only one that ends a reading, the first table's highest. certainty: that the slide is that dense, over
    all looks together. rest_at_least: the density on the fields not visited, as a share of that on those read, on which
    the rule may count; it is what a smear of uneven thickness takes away, since neighbours are read first.
    """

    grade: Text
    certainty: float = Field(ge=0.9, lt=1)
    rest_at_least: Share


class AfbGrading(StrictModel):
    """Grading of acid-fast bacilli by density.

    tables: the first is the verdict's own, the others stand beside it. negative_hpf: "negative" needs so many
    high-power fields; recommended_hpf: fewer raise an advice. significance: a count is positive when false findings
    alone would give it with a smaller probability. false_rate_spread: how many times the engine's mean rate of false
    findings a single slide may have; a count that such a slide would explain is to be confirmed, whatever its density.
    stop_early: without it every reading goes through its whole plan.
    """

    scheme: Literal["afb"]
    high_power_field: HighPowerField
    negative_hpf: Positive
    recommended_hpf: Positive
    significance: float = Field(gt=0, le=0.05)
    false_rate_spread: float = Field(ge=1)
    stop_early: StopEarly | None = None
    tables: tuple[DensityTable, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _stops_at_the_top(self) -> AfbGrading:
        top = self.tables[0].rows[-1]
        if self.stop_early is None:
            return self
        if self.stop_early.grade != top.grade:
            msg = (
                f"stop_early.grade is {self.stop_early.grade}, but only the highest grade of {self.tables[0].name} "
                f"may end a reading: {top.grade}"
            )
            raise ValueError(msg)
        if top.min_hpf is None:
            msg = f"stop_early needs min_hpf in the row {top.grade} of {self.tables[0].name}"
            raise ValueError(msg)
        return self


class TisCategory(StrictModel):
    """One category of the International System. rom_percent: risk of malignancy found in the table's source."""

    code: TisCode
    title: Text
    rom_percent: float = Field(ge=0, le=100)


class TisScoring(StrictModel):
    """Constants of the slide score; `appliance.verdict.serous` gives the formula."""

    false_rate_cv: float = Field(gt=0, le=3)
    background_floor: Positive
    top_k: int = Field(ge=1, le=100)
    top_weight: float = Field(ge=0, le=10)
    centre: float = Field(ge=-20, le=20)
    half_scale: Positive


class TisGrading(StrictModel):
    """Grading of serous effusions by the International System (TIS)."""

    scheme: Literal["tis"]
    name: Text
    version: Text
    source: Text
    significance: float = Field(gt=0, le=0.05)
    scoring: TisScoring
    categories: tuple[TisCategory, ...]

    @model_validator(mode="after")
    def _all_five(self) -> TisGrading:
        if [category.code for category in self.categories] != ["ND", "NFM", "AUS", "SFM", "MAL"]:
            msg = "the five categories ND, NFM, AUS, SFM, MAL are needed, in this order"
            raise ValueError(msg)
        return self


class Assay(StrictModel):
    """What is looked for and how it is graded. reviewer: who must confirm the suggestion."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
    version: Text
    title: Text
    reviewer: Text
    magnifications: tuple[Literal[450, 900], ...] = Field(min_length=1)
    stain: Stain
    labels: Labels
    reading: Reading
    adequacy: Adequacy
    grading: Annotated[AfbGrading | TisGrading, Field(discriminator="scheme")]
