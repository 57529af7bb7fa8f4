"""The verdict's own sentences, placed where the page wants them."""

from __future__ import annotations

from appliance.report import text
from appliance.verdict.model import Verdict

_SUGGESTION = "AI-assisted suggestion"
_STANDING = f"{_SUGGESTION}, for review by a qualified reader; research use only."
_NAMES = {
    "afb_per_100_hpf": "AFB, corrected for the engine's errors",
    "afb_per_100_hpf_raw": "AFB, as counted",
    "afb_per_mm2": "AFB density, corrected",
    "area_mm2": "Area read",
    "best_probability": "Highest probability of a finding",
    "expected_false_findings": "False findings to expect on this slide",
    "false_findings_probability": "Chance that false findings alone explain the count",
    "field_area_mm2": "Area of one field",
    "hpf_area_mm2": "Area taken for one high-power field",
    "hpf_read": "High-power fields read (equivalent)",
    "risk_of_malignancy_percent": "Published risk of malignancy in this category",
    "sensitivity": "Sensitivity of the engine for one object",
    "upper_bound_per_100_hpf": "Highest count that fits (95 %)",
    "volume_ml": "Submitted volume",
}


def headline(verdict: Verdict) -> str:
    """The title without the words that the heading above it says already."""
    title = verdict.title.removeprefix(f"{_SUGGESTION}: ")
    return title[:1].upper() + title[1:]


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
    """Named numbers with units; a number that has a `_low` and a `_high` beside it is shown with that interval."""
    found = verdict.figures
    rows = []
    for name, value in found.items():
        base = name.removesuffix("_low").removesuffix("_high")
        if base != name and base in found:
            continue
        label, shown = text.figure(name, value)
        if f"{name}_low" in found and f"{name}_high" in found:
            low, high = (text.figure(name, found[f"{name}_{end}"])[1] for end in ("low", "high"))
            shown = f"{shown}, 95 % interval {low} to {high}"
        rows.append((_NAMES.get(name, label), shown))
    return rows
