"""Geometry of the slide map: every recorded field as a rectangle at its place on the slide."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from appliance.records import FieldRecord, Outcome, SlideRun
from appliance.report.axes import nice_below
from appliance.report.text import words

_LEVEL_FROM = (1, 2, 5, 10, 30)
LEVELS = ("0", "1", "2–4", "5–9", "10–29", "30 or more")
_TALLEST_PX, _WIDEST_PX = 480.0, 1040.0
_LEGIBLE_PX = 15.0


@dataclass(frozen=True)
class Frame:
    """The rectangle on the slide that holds all fields (µm), and how wide it is drawn at most (px).

    cell_width_um, cell_height_um: one field. bar_mm: length of the scale bar; bar_percent: of the frame's width.
    """

    x0_um: float
    y0_um: float
    width_um: float
    height_um: float
    cell_width_um: float
    cell_height_um: float
    width_px: int
    bar_mm: float
    bar_percent: float

    @property
    def cell_px(self) -> float:
        """Width of a field as drawn at full size."""
        return self.width_px * self.cell_width_um / self.width_um


@dataclass(frozen=True)
class Cell:
    """One field, in µm from the frame's corner. kind: style class. mark: letter or number drawn in it."""

    x: int
    y: int
    kind: str
    mark: str
    title: str


@dataclass(frozen=True)
class SlideMap:
    """The map, ready to draw."""

    frame: Frame
    cells: tuple[Cell, ...]


def frame_of(run: SlideRun, fields: Sequence[FieldRecord]) -> Frame | None:
    """The frame around all fields; None when there are none."""
    if not fields:
        return None
    width, height = run.field_width_um, run.field_height_um
    x0 = min(f.x_um for f in fields) - width / 2
    y0 = min(f.y_um for f in fields) - height / 2
    span_x = max(f.x_um for f in fields) + width / 2 - x0
    span_y = max(f.y_um for f in fields) + height / 2 - y0
    bar_um = nice_below(span_x / 4)
    return Frame(
        x0_um=x0,
        y0_um=y0,
        width_um=span_x,
        height_um=span_y,
        cell_width_um=width,
        cell_height_um=height,
        width_px=round(max(160.0, min(_WIDEST_PX, _TALLEST_PX * span_x / span_y))),
        bar_mm=bar_um / 1000.0,
        bar_percent=100.0 * bar_um / span_x,
    )


def map_of(frame: Frame, fields: Sequence[FieldRecord], labels: Sequence[str], shown: Collection[int]) -> SlideMap:
    """The map of `fields`, shaded by the findings with `labels` (empty: all); `shown` fields are in the gallery."""
    legible = frame.cell_px >= _LEGIBLE_PX
    outlined_last = sorted(fields, key=lambda f: f.index in shown)
    return SlideMap(frame, tuple(_cell(frame, f, labels, f.index in shown, legible=legible) for f in outlined_last))


def findings_of(record: FieldRecord, labels: Sequence[str]) -> int:
    """Number of findings in a field that count for the map."""
    return sum(n for label, n in record.counts.items() if not labels or label in labels)


def _cell(frame: Frame, record: FieldRecord, labels: Sequence[str], shown: bool, *, legible: bool) -> Cell:
    if record.outcome is Outcome.USABLE:
        total = findings_of(record, labels)
        kind, mark = f"u{bisect_right(_LEVEL_FROM, total)}", str(total) if total and legible else ""
        seen = ", ".join(f"{n} {words(label)}" for label, n in sorted(record.counts.items()) if n)
        detail = seen or "no findings"
    else:
        kind = mark = record.outcome.value[0]
        mark = mark.upper()
        detail = words(record.reason)
    return Cell(
        x=round(record.x_um - frame.cell_width_um / 2 - frame.x0_um),
        y=round(record.y_um - frame.cell_height_um / 2 - frame.y0_um),
        kind=f"{kind} g" if shown else kind,
        mark=mark,
        title=f"Field {record.index}, {record.outcome.value}: {detail}" if detail else f"Field {record.index}",
    )
