"""What may be asked of the stage. Pure: refuses, never clamps."""

from __future__ import annotations

from drivers.errors import LimitError
from drivers.stage.motion import Leg
from drivers.stage.settings import AxisName, StageSettings

_SAFE = "Nothing was moved."


def on_grid(settings: StageSettings, name: AxisName, um: float) -> float:
    """The target moved to the nearest step of its axis.

    Raises:
        LimitError: it lies outside the limits, or is no number.
    """
    axis = settings.axis(name)
    if not axis.min_um <= um <= axis.max_um:
        raise LimitError(
            f"Target {name} = {um:.1f} µm lies outside the limits {axis.min_um:.0f} to {axis.max_um:.0f} µm.",
            safe=_SAFE,
            remedy="Choose a target, or an area to scan, inside the limits.",
        )
    return axis.to_um(axis.to_steps(um))


def require_ways_inside(settings: StageSettings, legs: tuple[Leg, ...]) -> None:
    """Z overshoots downward to approach from below; that, too, must stay inside.

    Raises:
        LimitError: it does not.
    """
    bottom = settings.z.min_um
    for way in (leg["z"] for leg in legs if "z" in leg):
        if min(way) < bottom:
            raise LimitError(
                f"To approach z = {way[-1]:.1f} µm from below, z would pass {min(way):.1f} µm (limit {bottom:.0f}).",
                safe=_SAFE,
                remedy=f"Choose a target at least {settings.approach_um:.1f} µm above the lower limit.",
            )


def askable(settings: StageSettings, name: AxisName) -> tuple[float, float]:
    """Lowest and highest target in µm that a move may ask for; Z leaves room below for its approach."""
    axis = settings.axis(name)
    return axis.min_um + (settings.approach_um if name == "z" else 0.0), axis.max_um
