"""The figures of `bench focus` as a picture: what share of fields is in focus, over exposures and over seconds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import cast

from appliance.report.axes import nice_above, ticks

_WIDTH, _HEIGHT, _GAP = 330.0, 250.0, 70.0
_LEFT, _TOP, _BELOW = 60.0, 34.0, 120.0
_LINES, _COLUMN = 3, 185.0
_OURS, _THEIRS, _INK, _FAINT = "#0b6e4f", "#8a4b08", "#222222", "#dddddd"
_NAMES = {
    "ours": "ours",
    "ours_exact": "ours, exact",
    "ours_uncalibrated": "ours, uncalibrated",
    "exhaustive_21": "21 planes",
    "squid": "Squid-style",
    "openflexure": "OpenFlexure-style",
    "pylabrobot_golden": "PyLabRobot",
    "pymmcore_plus": "pymmcore-plus, 11 planes",
    "pymmcore_plus_no_af": "pymmcore-plus, no focus",
}

Row = Mapping[str, float]


def write_plot(path: Path, figures: Mapping[str, object]) -> None:
    """Write the picture as SVG; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(draw(figures), encoding="utf-8")


def draw(figures: Mapping[str, object]) -> str:
    """SVG text. figures: as `bench_focus` gives them; skipped methods and those without specimen are left out."""
    rows = _rows(figures)
    width, height = _LEFT + 2 * _WIDTH + _GAP + 20, _TOP + _HEIGHT + _BELOW
    title = f"NA {cast('float', figures['na']):g}, half a depth of field ±{cast('float', figures['dof_um']) / 2:.2f} µm"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'font-family="sans-serif" font-size="11" fill="{_INK}">',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="white"/>',
        f'<text x="{_LEFT:.0f}" y="18" font-size="13">Fields with specimen in focus: {title}</text>',
        *_panel(rows, "exposures_per_field", "exposures per field, survey included", _LEFT),
        *_panel(rows, "seconds_per_field", "seconds per field", _LEFT + _WIDTH + _GAP),
        *_legend(rows, _LEFT),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _rows(figures: Mapping[str, object]) -> dict[str, Row]:
    peers = cast("Mapping[str, Row]", figures["peers"])
    own = {name: cast("Row", figures[name]) for name in ("ours", "ours_exact", "ours_uncalibrated") if name in figures}
    return {name: row for name, row in {**own, **peers}.items() if row.get("within_half_dof") is not None}


def _panel(rows: Mapping[str, Row], key: str, label: str, left: float) -> Iterator[str]:
    """One diagram: `key` to the right from zero, the share within half a depth of field upward."""
    bottom = _TOP + _HEIGHT
    most = max((row[key] for row in rows.values()), default=1.0)
    step = nice_above(most / 6)
    right_end = step * math.ceil(most / step + 1e-9)
    lowest = math.floor(min((row["within_half_dof"] for row in rows.values()), default=0.0) * 10 - 1e-9) / 10

    def at(x: float, y: float) -> tuple[float, float]:
        return left + x / right_end * _WIDTH, bottom - (y - lowest) / (1.0 - lowest) * _HEIGHT

    for share in ticks(lowest, 1.0, 5):
        _, y = at(0.0, share)
        yield f'<line x1="{left:.1f}" y1="{y:.1f}" x2="{left + _WIDTH:.1f}" y2="{y:.1f}" stroke="{_FAINT}"/>'
        yield f'<text x="{left - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>'
    for value in ticks(0.0, right_end, 6):
        x, _ = at(value, lowest)
        yield f'<line x1="{x:.1f}" y1="{_TOP:.1f}" x2="{x:.1f}" y2="{bottom:.1f}" stroke="{_FAINT}"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 16:.1f}" text-anchor="middle">{value:g}</text>'
    middle = left + _WIDTH / 2
    yield f'<text x="{middle:.1f}" y="{bottom + 36:.1f}" text-anchor="middle">{escape(label)}</text>'
    for number, (name, row) in enumerate(rows.items(), 1):
        yield _dot(*at(row[key], row["within_half_dof"]), number, name)


def _dot(x: float, y: float, number: int, name: str) -> str:
    colour = _OURS if name.startswith("ours") else _THEIRS
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="7.5" fill="{colour}" fill-opacity="0.85"/>'
        f'<text x="{x:.1f}" y="{y + 3.5:.1f}" text-anchor="middle" font-size="10" fill="white">{number}</text>'
    )


def _legend(rows: Mapping[str, Row], left: float) -> Iterator[str]:
    """What the numbers stand for, in lines below the diagrams."""
    for number, name in enumerate(rows, 1):
        column, line = divmod(number - 1, _LINES)
        x, y = left + column * _COLUMN + 8, _TOP + _HEIGHT + 62 + 20 * line
        yield _dot(x, y, number, name)
        yield f'<text x="{x + 14:.1f}" y="{y + 4:.1f}">{escape(_NAMES.get(name, name))}</text>'
