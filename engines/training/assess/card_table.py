"""Tables and intervals of model cards, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

Rows = Sequence[Sequence[object]]


def interval(values: Sequence[float]) -> str:
    """A figure with its interval; values: figure, low, high."""
    value, low, high = values
    return f"{value:.4g} ({low:.4g} to {high:.4g})"


def table(head: Sequence[str], rows: Rows) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
