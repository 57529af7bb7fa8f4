"""A coarse ascending sweep: finds a specimen whose height is only roughly known, to about one depth of field.

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
_PAST = 0.75
"""A sweep has passed its peak when two samples in succession lie below this share of it."""
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
    """Heights to sweep first, and those it may extend to when the peak is not among them; all in µm."""

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
    """The next height of the sweep, or None when it has passed the peak or has nowhere left to look.

    Upwards from the lower end; past the upper end only while the curve still rises or shows nothing; below the lower
    end last.
    """
    if not samples:
        return where.low_um
    ordered = sorted(samples, key=lambda s: s.z_um)
    values = [s.value for s in ordered]
    best = max(range(len(values)), key=values.__getitem__)
    seen = significant(ordered)
    passed = seen and best <= len(values) - 3 and max(values[-2:]) < _PAST * values[best]
    above, below = ordered[-1].z_um + where.step_um, ordered[0].z_um - where.step_um
    if not passed:
        wanted = above <= where.high_um or not seen or best == len(values) - 1
        if wanted and above <= where.highest_um:
            return above
    if (best == 0 or not seen) and below >= where.lowest_um:
        return below
    return None
