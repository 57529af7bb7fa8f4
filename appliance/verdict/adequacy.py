"""What of a slide could be read, and whether that is enough. Comes before any grading.

A failed or obscured field is never counted as negative: it adds no area.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from appliance.assays.model import Adequacy, Assay
from appliance.records import FieldRecord, Finding, Outcome, SlideRun
from appliance.verdict.model import STOPPED_EARLY, FieldTally
from appliance.verdict.wording import number, percent, plural

_DARK = re.compile(r"(?<![a-z])(ink|obscured)(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class Assessment:
    """What could be read.

    fields: those that count as read. area_mm2: theirs. Reasons against a judgement, most serious first:
    unreadable: nothing, or next to nothing, can be seen. too_little: too few fields or too little area were read.
    poor: too much was obscured or failed, so that the slide should be scanned again.
    remarks: sentences for the reader, with their `flags`.
    """

    tally: FieldTally
    fields: tuple[FieldRecord, ...]
    area_mm2: float
    unreadable: tuple[str, ...]
    too_little: tuple[str, ...]
    poor: tuple[str, ...]
    remarks: tuple[str, ...]
    flags: tuple[str, ...]
    figures: dict[str, float]

    def count(self, label: str, findings: Sequence[Finding], threshold: float) -> int:
        """Objects of a label in the fields read.

        Per field the larger of the recorded count and the listed findings at or above the threshold, so that neither
        a shortened list nor a missing count ever lowers the number.
        """
        listed = Counter(f.field_index for f in findings if f.label == label and f.probability >= threshold)
        return sum(max(record.counts.get(label, 0), listed[record.index]) for record in self.fields)


@dataclass(frozen=True)
class _Sorted:
    """Every captured field once: read, blank, obscured (ink, thick blood), or failed."""

    read: tuple[FieldRecord, ...]
    blank: tuple[FieldRecord, ...]
    obscured: tuple[FieldRecord, ...]
    failed: tuple[FieldRecord, ...]

    @property
    def captured(self) -> int:
        return len(self.read) + len(self.blank) + len(self.obscured) + len(self.failed)

    @property
    def with_specimen(self) -> int:
        return self.captured - len(self.blank)


def assess(assay: Assay, run: SlideRun, fields: Sequence[FieldRecord], stopped_early: str = "") -> Assessment:
    """Judge what was captured. The order of `fields` does not matter.

    stopped_early: why the rest of the plan was not needed, as a sentence; without it, fields not visited are missing.
    """
    limits = assay.adequacy
    groups = _sort(fields, limits)
    field_mm2 = run.field_width_um * run.field_height_um / 1e6
    area = len(groups.read) * field_mm2
    unreadable = _unreadable(groups, limits)
    stain_remark = _stain_remark(groups.read, assay)
    missing = run.planned_fields - groups.captured
    remarks, flags = [], []
    if stopped_early:
        remarks.append(stopped_early)
        flags.append(STOPPED_EARLY)
    elif missing > 0:
        remarks.append(
            f"The scan is incomplete: {plural(missing, 'planned field')} of {run.planned_fields} not visited."
        )
        flags.append("scan_incomplete")
    if stain_remark:
        remarks.append(stain_remark)
        flags.append("stain_out_of_range")
    if not run.on_gpu:
        remarks.append("Scored on the processor, not on a GPU.")
        flags.append("cpu_runtime")
    outcomes = Counter(record.outcome for record in fields)
    return Assessment(
        tally=FieldTally(
            planned=run.planned_fields,
            captured=groups.captured,
            usable=outcomes[Outcome.USABLE],
            blank=outcomes[Outcome.BLANK],
            failed=outcomes[Outcome.FAILED],
        ),
        fields=groups.read,
        area_mm2=area,
        unreadable=unreadable,
        too_little=() if unreadable else _too_little(groups, limits, area),
        poor=() if unreadable else _poor(groups, limits),
        remarks=tuple(remarks),
        flags=tuple(flags),
        figures={
            "fields_read": float(len(groups.read)),
            "fields_obscured": float(len(groups.obscured)),
            "field_area_mm2": field_mm2,
        },
    )


def _sort(fields: Sequence[FieldRecord], limits: Adequacy) -> _Sorted:
    read, blank, obscured, failed = [], [], [], []
    for record in fields:
        if _is_obscured(record, limits):
            obscured.append(record)
        elif record.outcome is Outcome.FAILED:
            failed.append(record)
        elif record.outcome is Outcome.BLANK or _shows_nothing(record, limits):
            blank.append(record)
        else:
            read.append(record)
    return _Sorted(tuple(read), tuple(blank), tuple(obscured), tuple(failed))


def _is_obscured(record: FieldRecord, limits: Adequacy) -> bool:
    if record.outcome is not Outcome.USABLE and _DARK.search(record.reason):
        return True
    return record.quality is not None and record.quality.obscured > limits.field_max_obscured


def _shows_nothing(record: FieldRecord, limits: Adequacy) -> bool:
    return record.quality is not None and record.quality.covered < limits.field_min_covered


def _unreadable(groups: _Sorted, limits: Adequacy) -> tuple[str, ...]:
    if groups.captured == 0:
        return ("No field was captured.",)
    if len(groups.obscured) > limits.max_ink_share * groups.with_specimen:
        return (
            "Ink, thick blood or another dark layer covers the slide: "
            f"{_share(groups.obscured, groups.with_specimen)} that are not blank cannot be seen through.",
        )
    if groups.read:
        return ()
    if not groups.with_specimen:
        return (f"The slide looks empty: none of {plural(groups.captured, 'field')} shows specimen.",)
    lost = groups.failed + groups.obscured
    blank = f" The other {len(groups.blank)} are blank." if groups.blank else ""
    return (f"None of {plural(len(lost), 'field')} with specimen could be read ({_failures(lost)}).{blank}",)


def _too_little(groups: _Sorted, limits: Adequacy, area_mm2: float) -> tuple[str, ...]:
    reasons = []
    if len(groups.blank) > limits.max_blank_share * groups.captured and area_mm2 < limits.enough_area_mm2:
        reasons.append(f"The slide is almost empty: {_share(groups.blank, groups.captured)} show no specimen.")
    if len(groups.read) < limits.min_usable_fields:
        reasons.append(
            f"Only {plural(len(groups.read), 'field')} could be read; at least {limits.min_usable_fields} are needed."
        )
    if area_mm2 < limits.min_area_mm2:
        reasons.append(
            f"Only {number(area_mm2)} mm² could be read; at least {number(limits.min_area_mm2)} mm² are needed."
        )
    return tuple(reasons)


def _poor(groups: _Sorted, limits: Adequacy) -> tuple[str, ...]:
    reasons = []
    if len(groups.obscured) > limits.max_obscured_share * groups.with_specimen:
        reasons.append(
            f"Too much is obscured by ink, thick blood or another dark layer: "
            f"{_share(groups.obscured, groups.with_specimen)} that are not blank."
        )
    if len(groups.read) < limits.min_usable_share * groups.with_specimen:
        lost = groups.failed + groups.obscured
        reasons.append(
            f"Too many fields with specimen could not be read: {_share(lost, groups.with_specimen)} "
            f"({_failures(lost)}). They are not counted as negative."
        )
    return tuple(reasons)


def _stain_remark(read: Sequence[FieldRecord], assay: Assay) -> str:
    measured = [record.quality.stain_od for record in read if record.quality is not None]
    if not measured:
        return ""
    od, stain = median(measured), assay.stain
    if stain.min_od <= od <= stain.max_od:
        return ""
    how = "weaker" if od < stain.min_od else "stronger"
    return (
        f"The stain is {how} than usual for {stain.name} (optical density {number(od)}, "
        f"usual {number(stain.min_od)} to {number(stain.max_od)})."
    )


def _share(some: Sequence[FieldRecord], total: int) -> str:
    return f"{len(some)} of {plural(total, 'field')} ({percent(len(some) / total)})"


def _failures(records: Sequence[FieldRecord]) -> str:
    common = Counter(record.reason or "no reason given" for record in records).most_common(3)
    return ", ".join(f"{count} × {reason}" for reason, count in common)
