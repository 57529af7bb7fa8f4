"""The sentences that every verdict shares."""

from __future__ import annotations

from appliance.assays.model import Assay


def title(category: str, meaning: str) -> str:
    """The category in words, always as a suggestion."""
    return f"AI-assisted suggestion: {category}, {meaning}"


def closing(assay: Assay) -> str:
    """Who decides, and what the verdict may be used for."""
    return f"AI-assisted suggestion, for review by {assay.reviewer}; research use only."


def number(value: float) -> str:
    """Three significant digits, never fewer than the whole number has, and no powers of ten."""
    if abs(value) >= 999.5:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) >= 1e-4 or value == 0 else f"{value:.7f}".rstrip("0").rstrip(".")


def percent(share: float) -> str:
    """A share as a percentage with a sensible number of digits."""
    return f"{number(100.0 * share)} %"


def chance(probability: float) -> str:
    """A probability as people read it."""
    return "less than one in a million" if probability < 1e-6 else number(probability)


def plural(n: int, one: str, many: str | None = None) -> str:
    """'1 field', '3 fields'."""
    return f"{n} {one if n == 1 else many or one + 's'}"
