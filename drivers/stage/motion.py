"""How long moves take and which way they go. Pure."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from drivers.stage.settings import AxisName, StageSettings

Leg = dict[AxisName, tuple[float, ...]]
"""Targets in µm that each axis visits one after the other; the axes run side by side."""


@dataclass(frozen=True)
class Trapezoid:
    """Motion with a limited speed and acceleration, from rest to rest."""

    speed_um_s: float
    acceleration_um_s2: float

    def duration_s(self, distance_um: float) -> float:
        """Time for a distance: 2 sqrt(d/a) while the speed limit is not reached, else d/v + v/a."""
        distance, v, a = abs(distance_um), self.speed_um_s, self.acceleration_um_s2
        if distance * a <= v * v:
            return 2 * math.sqrt(distance / a)
        return distance / v + v / a


@dataclass(frozen=True)
class Standing:
    """Where the axes stand. z_rising_from_um: where the last upward way of Z began; equal to z_um after a way down."""

    x_um: float
    y_um: float
    z_um: float
    z_rising_from_um: float

    def of(self, axis: AxisName) -> float:
        """Coordinate of one axis."""
        return {"x": self.x_um, "y": self.y_um, "z": self.z_um}[axis]

    def after(self, axis: AxisName, target_um: float) -> Standing:
        """The same after one axis moved."""
        if axis == "x":
            return Standing(target_um, self.y_um, self.z_um, self.z_rising_from_um)
        if axis == "y":
            return Standing(self.x_um, target_um, self.z_um, self.z_rising_from_um)
        rising_from = self.z_rising_from_um if target_um >= self.z_um else target_um
        return Standing(self.x_um, self.y_um, target_um, rising_from)


def z_way(now: Standing, target_um: float, approach_um: float) -> tuple[float, ...]:
    """Targets of Z so that its last `approach_um` run upward: backlash is taken up, and it nears the slide slowly.

    A step up that continues an upward way long enough needs no detour.
    """
    if target_um == now.z_um:
        return ()
    if target_um > now.z_um and target_um - now.z_rising_from_um >= approach_um:
        return (target_um,)
    return (target_um - approach_um, target_um) if approach_um > 0 else (target_um,)


def plan_legs(now: Standing, targets: dict[AxisName, float], settings: StageSettings) -> list[Leg]:
    """The way to the targets, in legs that follow one another.

    Short XY moves and Z run side by side: the surface is smooth over one field. An XY move longer than `long_xy_um`
    runs with Z at or below `safe_z_um`: Z goes down first when it stands higher, and comes up last. When no Z target
    was given it then stays at `safe_z_um`.
    """
    across: Leg = {a: (um,) for a, um in targets.items() if a != "z" and um != now.of(a)}
    far = max((abs(way[0] - now.of(a)) for a, way in across.items()), default=0.0) > settings.long_xy_um
    if not far:
        way = z_way(now, targets["z"], settings.approach_um) if "z" in targets else ()
        leg: Leg = {**across, "z": way} if way else across
        return [leg] if leg else []
    legs: list[Leg] = []
    if now.z_um > settings.safe_z_um:
        legs.append({"z": (settings.safe_z_um,)})
        now = now.after("z", settings.safe_z_um)
    legs.append(across)
    way = z_way(now, targets["z"], settings.approach_um) if "z" in targets else ()
    return [*legs, {"z": way}] if way else legs


def leg_seconds(now: Standing, leg: Leg, profiles: dict[AxisName, Trapezoid]) -> dict[AxisName, float]:
    """Time in s that each axis needs for its way in a leg."""
    seconds = {}
    for axis, way in leg.items():
        stops = (now.of(axis), *way)
        seconds[axis] = sum(profiles[axis].duration_s(b - a) for a, b in itertools.pairwise(stops))
    return seconds


def walk(now: Standing, leg: Leg) -> Standing:
    """Where the axes stand after a leg."""
    for axis, way in leg.items():
        for target in way:
            now = now.after(axis, target)
    return now


def schedule(
    now: Standing, legs: tuple[Leg, ...], profiles: dict[AxisName, Trapezoid], settle_s: dict[AxisName, float]
) -> tuple[float, float]:
    """Time in s until the last axis stands, and until the last one has settled; axes settle while others still move."""
    clock, ends = 0.0, dict[AxisName, float]()
    for leg in legs:
        seconds = leg_seconds(now, leg, profiles)
        ends.update({axis: clock + needed for axis, needed in seconds.items()})
        clock += max(seconds.values())
        now = walk(now, leg)
    return clock, max((end + settle_s[axis] for axis, end in ends.items()), default=0.0)


class EndEstimate:
    """Learns how much later than predicted an axis reports idle, so that polling starts just before that.

    Each move shifts the estimate by a bounded step, so one slow answer of a busy host does not count for much. When the
    first poll finds the axis idle already, the true end was earlier by an unknown amount, and the estimate goes down.
    """

    _SHARE = 0.2
    _MOST_STEP_S = 0.0005

    def __init__(self, margin_s: float = 0.002) -> None:
        self.margin_s = margin_s
        self.residual_s = 0.0

    def first_poll_s(self, predicted_end_s: float) -> float:
        """When to ask for the first time."""
        return predicted_end_s + self.residual_s - self.margin_s

    def learn(self, predicted_end_s: float, idle_s: float, polls: int) -> None:
        """Take in one finished move: idle was seen at `idle_s` on poll number `polls`."""
        step = self._SHARE * (idle_s - predicted_end_s - self.residual_s) if polls > 1 else -self._MOST_STEP_S
        self.residual_s += min(max(step, -self._MOST_STEP_S), self._MOST_STEP_S)
