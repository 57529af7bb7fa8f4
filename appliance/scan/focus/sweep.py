"""A coarse sweep, middle first: finds a specimen whose height is only roughly known, to about one depth of field.

Uses the variance of stain between cells of 8 px, whose peak is several depths of field wide; the camera's
own shading has to be off (`Baseline.shade`), or the peak stands on a pedestal. Source: domain reference 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2

from appliance.scan.focus.baseline import Baseline
from appliance.scan.focus.estimate import Sample
from appliance.scan.focus.measure import Measurement

WIDTH_DOF = 8.0
"""Usual full width at half height of the sweep's curve."""
_NOISE_OD = 2e-3
"""What cells of an empty field differ by: photons, rounding, shading that does not fit."""
_SIGNIFICANT = 9.0
_CONTRAST_OD = 0.01
"""Root mean square of local colour contrast that says at one look that there is a specimen."""
_BLACK_OD = 0.9
_READABLE = 0.2
_SLOW = (3, 2)


def coarse_sample(measurement: Measurement, baseline: Baseline, z_um: float) -> Sample:
    """Variance of colour between readable cells, slow changes over the field removed; what is grey is not stain."""
    density = baseline.density(measurement)
    readable = density.min(axis=2) < _BLACK_OD
    if readable.mean() < _READABLE:
        return Sample(z_um, 0.0, _NOISE_OD**2)
    colour = density.max(axis=2) - density.min(axis=2)
    slow = cv2.resize(cv2.resize(colour, _SLOW, interpolation=cv2.INTER_AREA), colour.shape[::-1])
    return Sample(z_um, float((colour - slow)[readable].var()), _NOISE_OD**2)


@dataclass(frozen=True)
class SweepRange:
    """Where to begin, heights to look at first, and those it may extend to while nothing shows; all in µm."""

    middle_um: float
    low_um: float
    high_um: float
    lowest_um: float
    highest_um: float
    step_um: float


def is_structured(measurement: Measurement, baseline: Baseline) -> bool:
    """Whether one frame, in focus or not, shows more colour than the camera's own dust."""
    return coarse_sample(measurement, baseline, 0.0).value > _CONTRAST_OD**2


def significant(samples: Sequence[Sample]) -> bool:
    """Whether the samples show a specimen: something that changes with height."""
    values = [s.value for s in samples]
    return max(values) - (min(values) if len(values) > 1 else 0.0) > _SIGNIFICANT * max(s.sigma for s in samples)


def next_height(samples: Sequence[Sample], where: SweepRange) -> float | None:
    """The next height of the sweep, or None when the peak has lower samples on both sides or there is nowhere to look.

    To where it rises; while nothing shows, nearest to the middle first, in the range and then beyond it.
    """
    if not samples:
        return where.middle_um
    ordered = sorted(samples, key=lambda s: s.z_um)
    up, down = ordered[-1].z_um + where.step_um, ordered[0].z_um - where.step_um
    if significant(ordered) and len(ordered) > 1:
        best = max(range(len(ordered)), key=lambda i: ordered[i].value)
        wanted = {0: [down], len(ordered) - 1: [up]}.get(best, [])
    else:
        wanted = sorted([up, down], key=lambda z: (not where.low_um <= z <= where.high_um, abs(z - where.middle_um)))
    return next((z for z in wanted if where.lowest_um <= z <= where.highest_um), None)
