"""Geometry of the focus plots: heights over the fitted plane, and the slope along each axis."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.records import FieldRecord
from appliance.report.axes import nice_above, ticks
from appliance.report.plane import Plane, fit_plane, focused
from appliance.report.slide_map import Frame
from appliance.report.text import short, signed

_STEPS = 4  # colour steps on each side of zero
_LEGIBLE_PX = 34.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 54.0, 448.0, 12.0, 150.0


@dataclass(frozen=True)
class Profile:
    """One small plot of 460 x 190 px: dots as an SVG path, the plane as a line, tick positions with labels."""

    axis: str
    slope_mrad: str
    dots: str
    line: tuple[float, float, float, float]
    along_ticks: tuple[tuple[float, str], ...]
    height_ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class FocusMap:
    """What the focus section draws.

    points: fields that the plane was fitted to. span_um: highest minus lowest focus.
    layers: (style class, SVG path) for each colour step. missing: path of the fields without a height of their own.
    marks: (x, y, text, style class) where fields are large enough for a number. legend: (style class, label).
    """

    plane: Plane
    points: int
    span_um: float
    layers: tuple[tuple[str, str], ...]
    missing: str
    marks: tuple[tuple[int, int, str, str], ...]
    legend: tuple[tuple[str, str], ...]
    profiles: tuple[Profile, Profile]


def focus_map_of(frame: Frame, fields: Sequence[FieldRecord]) -> FocusMap | None:
    """The focus surface of a slide; None when too few fields found their own focus."""
    good = [f for f in fields if focused(f)]
    x_um, y_um, z_um = (np.array(v, dtype=np.float64) for v in _columns(good))
    plane = fit_plane(x_um, y_um, z_um)
    if plane is None:
        return None
    step_um = nice_above(max(0.5, float(np.percentile(np.abs(plane.residuals_um), 98)))) / _STEPS
    steps = [round(s) for s in np.clip(plane.residuals_um / step_um, -_STEPS, _STEPS).tolist()]
    layers = tuple(
        (_style(k), _rectangles(frame, (f for f, s in zip(good, steps, strict=True) if s == k)))
        for k in sorted(set(steps))
    )
    return FocusMap(
        plane=plane,
        points=len(good),
        span_um=float(np.ptp(z_um)),
        layers=layers,
        missing=_rectangles(frame, (f for f in fields if not focused(f))),
        marks=_marks(frame, good, plane, steps) if frame.cell_px >= _LEGIBLE_PX else (),
        legend=tuple((_style(k), _step_label(k, step_um)) for k in range(-_STEPS, _STEPS + 1)),
        profiles=(
            _profile("X", x_um - plane.x_um, plane.slope_x, plane.residuals_um, plane.x_um),
            _profile("Y", y_um - plane.y_um, plane.slope_y, plane.residuals_um, plane.y_um),
        ),
    )


def _columns(fields: Sequence[FieldRecord]) -> tuple[list[float], list[float], list[float]]:
    return [f.x_um for f in fields], [f.y_um for f in fields], [f.focus.z_um for f in fields]


def _style(step: int) -> str:
    return f"d{step + _STEPS}"


def _step_label(step: int, step_um: float) -> str:
    text = short(abs(step * step_um))
    if step == 0:
        return "0"
    edge = ("≤ " if step < 0 else "≥ ") if abs(step) == _STEPS else ""
    return f"{edge}{'−' if step < 0 else '+'}{text}"


def _corner(frame: Frame, record: FieldRecord) -> tuple[int, int]:
    return (
        round(record.x_um - frame.cell_width_um / 2 - frame.x0_um),
        round(record.y_um - frame.cell_height_um / 2 - frame.y0_um),
    )


def _rectangles(frame: Frame, fields: Iterable[FieldRecord]) -> str:
    """All fields as one path: a thousand of them stay small."""
    width, height = round(frame.cell_width_um), round(frame.cell_height_um)
    return "".join(f"M{x} {y}h{width}v{height}h-{width}z" for x, y in (_corner(frame, f) for f in fields))


def _marks(
    frame: Frame, fields: Sequence[FieldRecord], plane: Plane, steps: Sequence[int]
) -> tuple[tuple[int, int, str, str], ...]:
    half_x, half_y = round(frame.cell_width_um / 2), round(frame.cell_height_um / 2)
    corners = (_corner(frame, f) for f in fields)
    return tuple(
        (x + half_x, y + half_y, signed(r, 1), _style(s))
        for (x, y), r, s in zip(corners, plane.residuals_um.tolist(), steps, strict=True)
    )


def _padded(low: float, high: float, least: float) -> tuple[float, float]:
    """The range with some air around it, at least `least` wide."""
    margin = max(0.05 * (high - low), (least - (high - low)) / 2)
    return low - margin, high + margin


def _profile(
    axis: str, along_um: NDArray[np.float64], slope: float, residual_um: NDArray[np.float64], centre_um: float
) -> Profile:
    """Heights along one axis, with the slope along the other taken out; the line is the plane."""
    height_um = slope * along_um + residual_um
    first, last = float(along_um.min()), float(along_um.max())
    low, high = _padded(first, last, 100.0)
    bottom, top = _padded(float(height_um.min()), float(height_um.max()), 1.0)
    px_along = (_RIGHT - _LEFT) / (high - low)
    px_height = (_BOTTOM - _TOP) / (top - bottom)

    def across(value: float) -> float:
        return round(_LEFT + (value - low) * px_along, 1)

    def up(value: float) -> float:
        return round(_BOTTOM - (value - bottom) * px_height, 1)

    along_mm = ticks((low + centre_um) / 1e3, (high + centre_um) / 1e3, 5)
    return Profile(
        axis=axis,
        slope_mrad=signed(1000.0 * slope, 2),
        dots="".join(f"M{across(a):g} {up(h):g}h0" for a, h in zip(along_um.tolist(), height_um.tolist(), strict=True)),
        line=(across(first), up(slope * first), across(last), up(slope * last)),
        along_ticks=tuple((across(t * 1e3 - centre_um), short(t)) for t in along_mm),
        height_ticks=tuple((up(t), short(t)) for t in ticks(bottom, top, 4)),
    )
