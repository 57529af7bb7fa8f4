"""What the visits of a method amount to, beside the truth of the frames it kept. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from appliance.scan.plan import PlannedField
from drivers.stage import Position, StageSettings
from drivers.stage.motion import Standing, Trapezoid, plan_legs, schedule
from drivers.stage.settings import AXES, AxisName

CHASED_FROM = 4
"""Exposures on a blank field from which it counts as chased."""


@dataclass(frozen=True)
class Visit:
    """One field as a method left it.

    off_um: signed distance of the kept frame from best focus, None where none was kept. blank: whether there is truly
    no specimen. in_focus: what the method said. exposures: taken for this field, the kept one included. at_edge:
    whether blank depends on what lies at the edge of the frame, and so on where the stage really stood. expected_um:
    distance from best focus of the height that was expected before the field was looked at, where it was.
    """

    off_um: float | None
    blank: bool
    in_focus: bool
    exposures: int
    at_edge: bool = False
    expected_um: float | None = None


@dataclass(frozen=True)
class Spent:
    """Over whole slides: exposures with the survey; seconds in all, waited for the devices, and computed by the host.

    What is computed while the stage moves is not waited for again: the last two add up to all.
    ideal_s: what the same plan takes without any focusing, see `ideal_seconds`.
    """

    exposures: int
    total_s: float
    waited_s: float
    host_s: float
    ideal_s: float


def figures(visits: Sequence[Visit], spent: Spent, dof_um: float) -> dict[str, object]:
    """Residuals in µm are of kept frames of fields with specimen; None where there are none.

    kept_within_half_dof: of those. within_half_dof: of all fields with specimen, those without a kept frame as well.
    unflagged_out_of_focus: of the same, kept beyond half a depth of field and called in focus. blank_chased: blank
    fields with more than three exposures, or called in focus. at_edge: fields left out of all that, as nobody can say
    whether they are blank. expected_within_half_dof: heights expected beforehand that were good enough, of fields with
    a kept frame. Who exposed there once, was never wrong about it, and exposed once more where it was not, would take
    two exposures less this share, and nobody takes fewer by that surface. efficiency: ideal time over time spent.
    """
    clear = [visit for visit in visits if not visit.at_edge]
    seen = [visit for visit in clear if not visit.blank]
    off = np.abs([visit.off_um for visit in seen if visit.off_um is not None])
    fields, specimen, half_um = len(visits), len(seen), dof_um / 2
    expected = np.abs([visit.expected_um for visit in seen if visit.expected_um is not None])
    astray = sum(v.off_um is not None and abs(v.off_um) > half_um and v.in_focus for v in seen)
    return {
        "fields": fields,
        "non_blank": specimen,
        "kept": int(off.size),
        "exposures_per_field": spent.exposures / fields,
        "mean_abs_um": float(off.mean()) if off.size else None,
        "p95_um": float(np.percentile(off, 95)) if off.size else None,
        "max_um": float(off.max()) if off.size else None,
        "kept_within_half_dof": float((off <= half_um).mean()) if off.size else None,
        "within_half_dof": float((off <= half_um).sum()) / specimen if specimen else None,
        "unflagged_out_of_focus": astray / specimen if specimen else None,
        "expected_within_half_dof": float((expected <= half_um).mean()) if expected.size else None,
        "blank_chased": sum(v.blank and (v.exposures >= CHASED_FROM or v.in_focus) for v in clear),
        "at_edge": len(visits) - len(clear),
        "seconds_per_field": spent.total_s / fields,
        "waited_seconds_per_field": spent.waited_s / fields,
        "host_seconds_per_field": spent.host_s / fields,
        "efficiency": spent.ideal_s / spent.total_s,
    }


def ideal_seconds(
    start: Position,
    height_um: float,
    fields: Sequence[PlannedField],
    stage: StageSettings,
    profiles: dict[AxisName, Trapezoid],
    frame_s: float,
) -> float:
    """Time of stage and camera for one exposure a field: ways in X and Y, their settling, exposure and readout.

    start: where the stage stands before; the way from there to the first field and up to height_um is part of it, other
    moves of Z are not. A method that leaves a field while its frame is read out may take less.
    """
    settle_s = {name: stage.axis(name).settle_ms / 1e3 for name in AXES}
    standing = Standing(start.x_um, start.y_um, start.z_um, start.z_um)
    total_s = frame_s * len(fields)
    for number, there in enumerate(fields):
        targets: dict[AxisName, float] = {"x": there.x_um, "y": there.y_um}
        if number == 0:
            targets["z"] = height_um
        legs = tuple(plan_legs(standing, targets, stage))
        total_s += schedule(standing, legs, profiles, settle_s)[1]
        standing = Standing(there.x_um, there.y_um, stage.safe_z_um, stage.safe_z_um)
    return total_s
