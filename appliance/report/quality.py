"""How well the slide was seen: focus and picture quality over its fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from appliance.records import FieldRecord, ImageQuality, Outcome, SlideRun
from appliance.report.plane import CONFIDENT, depth_of_field_um
from appliance.report.text import fixed, number, percent


@dataclass(frozen=True)
class Measure:
    """One row of the picture quality table: median, range of the middle 90 % of fields, highest field."""

    name: str
    meaning: str
    median: str
    usual: str
    highest: str
    highest_field: int


@dataclass(frozen=True)
class FocusQuality:
    """confident of focusable: fields with something to focus on. exposure_bars: (exposures, fields, % of the most)."""

    focusable: int
    confident: int
    depth_of_field_um: float
    median_sigma_um: float | None
    sigma_known: int
    exposures_mean: float | None
    exposures_most: int
    exposure_bars: tuple[tuple[int, int, float], ...]

    @property
    def confident_share(self) -> float | None:
        """Share of fields with something to focus on whose focus is confident; None when there are none."""
        return self.confident / self.focusable if self.focusable else None


@dataclass(frozen=True)
class Quality:
    """background_rgb: median over the fields, None when no field was measured. seconds: (part, mean per field)."""

    focus: FocusQuality
    measures: tuple[Measure, ...]
    background_rgb: tuple[int, int, int] | None
    measured: int
    seconds: tuple[tuple[str, float], ...]


_MEASURES: tuple[tuple[str, str, Callable[[ImageQuality], float], Callable[[float | None], str]], ...] = (
    ("Stain strength", "optical density over the background, 95th percentile", lambda q: q.stain_od, number),
    ("Covered by stain", "share of the picture", lambda q: q.covered, percent),
    ("Obscured", "too dark to read: ink, thick blood, thick smear", lambda q: q.obscured, percent),
    ("Saturated", "share of pixels at full scale", lambda q: q.saturated, percent),
    ("Sharpness", "times its noise floor", lambda q: q.sharpness, number),
)


def quality_of(run: SlideRun, fields: Sequence[FieldRecord]) -> Quality:
    """Quality figures of a slide."""
    measured = [(f.index, f.quality) for f in fields if f.quality is not None]
    background = np.array([q.background_rgb for _, q in measured], dtype=np.float64)
    red, green, blue = (round(v) for v in np.median(background, axis=0).tolist()) if measured else (0, 0, 0)
    return Quality(
        focus=_focus(run, fields),
        measures=tuple(_measure(measured, *m) for m in _MEASURES) if measured else (),
        background_rgb=(red, green, blue) if measured else None,
        measured=len(measured),
        seconds=_seconds(fields),
    )


def _focus(run: SlideRun, fields: Sequence[FieldRecord]) -> FocusQuality:
    focusable = [f for f in fields if f.outcome is not Outcome.BLANK]
    sigmas = [f.focus.sigma_um for f in focusable if f.focus.sigma_um is not None]
    tally = Counter(f.focus.exposures for f in fields)
    most = max(tally.values(), default=1)
    return FocusQuality(
        focusable=len(focusable),
        confident=sum(f.outcome is Outcome.USABLE and f.focus.confidence >= CONFIDENT for f in focusable),
        depth_of_field_um=depth_of_field_um(run.na, run.um_per_px),
        median_sigma_um=float(np.median(sigmas)) if sigmas else None,
        sigma_known=len(sigmas),
        exposures_mean=sum(k * n for k, n in tally.items()) / len(fields) if fields else None,
        exposures_most=max(tally, default=0),
        exposure_bars=tuple((k, tally[k], 100.0 * tally[k] / most) for k in sorted(tally)),
    )


def _measure(
    measured: Sequence[tuple[int, ImageQuality]],
    name: str,
    meaning: str,
    read: Callable[[ImageQuality], float],
    write: Callable[[float | None], str],
) -> Measure:
    values = np.array([read(q) for _, q in measured])
    low, median, high = np.percentile(values, [5, 50, 95]).tolist()
    top = int(np.argmax(values))
    return Measure(
        name, meaning, write(median), f"{write(low)} to {write(high)}", write(float(values[top])), measured[top][0]
    )


def _seconds(fields: Sequence[FieldRecord]) -> tuple[tuple[str, float], ...]:
    parts = sorted({part for f in fields for part in f.seconds})
    means = ((part, sum(f.seconds.get(part, 0.0) for f in fields) / len(fields)) for part in parts)
    return tuple(sorted(means, key=lambda m: (-m[1], m[0])))


def seconds_text(seconds: Sequence[tuple[str, float]]) -> str:
    """Mean time of a field and its parts in one line."""
    if not seconds:
        return ""
    parts = ", ".join(f"{part} {fixed(value, 2)}" for part, value in seconds)
    return f"{fixed(sum(v for _, v in seconds), 2)} s ({parts})"
