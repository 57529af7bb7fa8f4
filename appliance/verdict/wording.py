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
    """Three significant digits, never in powers of ten for everyday sizes."""
    if value == 0 or 0.001 <= abs(value) < 1e6:
        return f"{value:.3g}" if abs(value) < 999.5 else f"{value:.0f}"
    return f"{value:.2e}"


def percent(share: float) -> str:
    """A share as a percentage with a sensible number of digits."""
    return f"{number(100.0 * share)} %"


def plural(n: int, one: str, many: str | None = None) -> str:
    """'1 field', '3 fields'."""
    return f"{n} {one if n == 1 else many or one + 's'}"
