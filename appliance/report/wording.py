"""The verdict's own sentences, placed where the page wants them."""

from __future__ import annotations

from appliance.report import text
from appliance.verdict.model import Verdict

_SUGGESTION = "AI-assisted suggestion"
_STANDING = f"{_SUGGESTION}, for review by a qualified reader; research use only."
_LONGEST_CODE = 4
_NAMES = {
    "afb_per_100_hpf": "AFB, corrected for the engine's errors",
    "afb_per_100_hpf_raw": "AFB, as counted",
    "afb_per_mm2": "AFB density, corrected",
    "area_mm2": "Area read",
    "best_probability": "Highest probability of a finding",
    "cutoff_t1": "Cut-off t1, atypical from here",
    "cutoff_t2": "Cut-off t2, suspicious from here",
    "cutoff_t3": "Cut-off t3, malignant from here",
    "expected_false_findings": "False findings to expect on this slide",
    "false_findings_probability": "Chance that false findings alone explain the count",
    "field_area_mm2": "Area of one field",
    "fields_obscured": "Fields too dark to read",
    "fields_read": "Fields that count",
    "hpf_area_mm2": "Area taken for one high-power field",
    "hpf_read": "High-power fields read (equivalent)",
    "malignant_share": "Malignant cells among nucleated ones, corrected",
    "obscured_share": "Obscured, mean of the fields that count",
    "risk_of_malignancy_percent": "Published risk of malignancy in this category",
    "sensitivity": "Sensitivity of the engine for one object",
    "upper_bound_per_100_hpf": "Highest count that fits (95 %)",
    "volume_ml": "Submitted volume",
}


def headline(verdict: Verdict) -> str:
    """The category's meaning: the title without what the page says beside it already."""
    title = verdict.title.removeprefix(f"{_SUGGESTION}: ").removeprefix(f"{verdict.category}, ")
    return title[:1].upper() + title[1:]


def code(verdict: Verdict) -> str:
    """The category where it is a short code (MAL, 2+), else nothing: the headline says it in words."""
    return verdict.category if len(verdict.category) <= _LONGEST_CODE else ""


def standing(verdict: Verdict) -> str:
    """Whose decision it is: the verdict's closing sentence."""
    return next((r for r in verdict.reasons if r.startswith(_SUGGESTION)), _STANDING)


def reasons(verdict: Verdict) -> list[str]:
    """Why, most important first, without the closing sentence."""
    return [r for r in verdict.reasons if not r.startswith(_SUGGESTION)]


def flags(verdict: Verdict) -> list[str]:
    """Warnings in words; that a verdict is provisional is said elsewhere."""
    return [text.words(f) for f in verdict.flags if f != "provisional"]


def figures(verdict: Verdict) -> list[tuple[str, str]]:
    """Named numbers with units; a number that has a `_low` and a `_high` beside it is shown with that range."""
    found = verdict.figures
    rows = []
    for name, value in found.items():
        base = name.removesuffix("_low").removesuffix("_high")
        if base != name and base in found:
            continue
        label, shown, unit = text.figure(name, value)
        if f"{name}_low" in found and f"{name}_high" in found:
            low, high = (text.figure(name, found[f"{name}_{end}"])[1] for end in ("low", "high"))
            unit = f"{unit} (95 %: {low} to {high})"
        rows.append((_NAMES.get(name, label), f"{shown} {unit}".rstrip()))
    return rows
