"""The axes of the twin: what they were told, and where the specimen and the objective really are.

Everything is a function of the commands given, the seed and the time asked for; nothing is integrated step by step, so
asking often or seldom gives the same answer.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Literal

import numpy as np

from drivers.twin.disturbances import Geometry, Thermal, Vibration
from drivers.twin.mechanics_settings import AxisMechanics, MechanicsSettings, XYMechanics, ZMechanics
from drivers.twin.motion_profile import Leg, Ringing, move_phases, stop_phases

__all__ = ["AXES", "Axis", "AxisMechanics", "Mechanics", "MechanicsSettings", "XYMechanics", "ZMechanics"]

Axis = Literal["x", "y", "z"]
AXES: tuple[Axis, Axis, Axis] = ("x", "y", "z")

_KEPT_LEGS = 64
_RING_SHARE = 0.15  # a short move excites less: ringing never exceeds this share of the distance moved


class _AxisState:
    """The legs of one axis, newest last. Guarded by the lock of `Mechanics`."""

    def __init__(self, settings: AxisMechanics, seed: list[int], start_s: float) -> None:
        self.settings = settings
        self._rng = np.random.default_rng(seed)
        still = Ringing(0.0, 1.0, 1.0)
        self.legs = [Leg(start_s, settings.start_um, 0.0, (), settings.start_um, 0.0, 0.0, still)]
        self.slip_um = 0.0

    def leg(self, t: float) -> Leg:
        for leg in reversed(self.legs):
            if leg.start_s <= t:
                return leg
        return self.legs[0]

    def _cut(self, t: float) -> Leg:
        """Forget what was still to come at `t`; the leg in force then."""
        while len(self.legs) > 1 and self.legs[-1].start_s > t:
            self.legs.pop()
        last = self.legs[-1]
        self.legs[-1] = last.cut(t)
        return last

    def _append(self, start_s: float, distance_um: float, phases: tuple[tuple[float, float], ...], new: bool) -> Leg:
        before = self.legs[-1]
        position, velocity = before.drive(start_s)
        s = self.settings
        error = before.error(start_s)
        leg = Leg(
            start_s=start_s,
            start_um=position,
            velocity_um_s=velocity,
            phases=phases,
            load_um=before.load(start_s, s.backlash_um),
            error_from_um=error,
            error_to_um=float(self._rng.normal(0, s.repeatability_um)) if new else error,
            ringing=Ringing(
                math.copysign(min(s.settle_amplitude_um, _RING_SHARE * abs(distance_um)), distance_um),
                s.settle_tau_ms / 1e3,
                s.settle_hz,
            ),
        )
        self.legs.append(leg)
        del self.legs[:-_KEPT_LEGS]
        return leg

    def brake(self, t: float) -> float:
        """Brake at `t`, if moving; returns when the drive will stand still."""
        _, velocity = self._cut(t).drive(t)
        acceleration = self.settings.acceleration_mm_s2 * 1e3
        if velocity == 0:
            return t
        distance = math.copysign(velocity * velocity / (2 * acceleration), velocity)
        return self._append(t, distance, stop_phases(velocity, acceleration), new=False).done_s

    def freeze(self, t: float) -> None:
        """Stand still at once."""
        leg = self._cut(t)
        position, velocity = leg.drive(t)
        if velocity != 0:
            self.legs.append(
                Leg(t, position, 0.0, (), leg.load(t, self.settings.backlash_um), leg.error(t), leg.error(t),
                    Ringing(0.0, 1.0, 1.0))
            )  # fmt: skip

    def move(self, t: float, target_um: float, speed_mm_s: float, acceleration_mm_s2: float) -> float:
        """Go to the target, braking first if in motion; returns when it will be there."""
        start_s = self.brake(t)
        position, _ = self.legs[-1].drive(start_s)
        distance = target_um - position
        phases = move_phases(distance, speed_mm_s * 1e3, acceleration_mm_s2 * 1e3)
        if not phases:
            return start_s
        return self._append(start_s, distance, phases, new=True).done_s

    def true_um(self, t: float) -> float:
        current = self.leg(t)
        rings = sum(leg.ring(t) for leg in self.legs if leg.start_s <= t)
        return current.load(t, self.settings.backlash_um) + current.error(t) + rings + self.slip_um


class Mechanics:
    """Three axes with their errors. Thread-safe; times are those of `clock`, in seconds."""

    def __init__(self, settings: MechanicsSettings, clock: Callable[[], float]) -> None:
        """Axes stand still at their `start_um`; heat is counted from now."""
        self.settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._on_s = clock()
        self._axes: dict[Axis, _AxisState] = {
            axis: _AxisState(getattr(settings, axis), [settings.seed, 20 + index], self._on_s)
            for index, axis in enumerate(AXES)
        }
        self._geometry = Geometry(settings)
        self._thermal = Thermal(settings)
        self._vibration = Vibration(settings)

    def axis(self, axis: Axis) -> AxisMechanics:
        """The settings of one axis."""
        return self._axes[axis].settings

    def command_move(
        self,
        axis: Axis,
        target_um: float,
        speed_mm_s: float | None = None,
        acceleration_mm_s2: float | None = None,
    ) -> float:
        """Start moving to `target_um`, rounded to whole steps and kept inside the travel.

        Speed and acceleration are those of the settings when not given. Returns the clock time at which the drive will
        stand still there.
        """
        state = self._axes[axis]
        s = state.settings
        steps = round((min(max(target_um, s.min_um), s.max_um)) / s.step_um)
        with self._lock:
            return state.move(
                self._clock(),
                steps * s.step_um,
                speed_mm_s or s.speed_mm_s,
                acceleration_mm_s2 or s.acceleration_mm_s2,
            )

    def home(self, axis: Axis) -> float:
        """Drive to the home sensor at the lower end of travel; returns when it will be there."""
        return self.command_move(axis, self._axes[axis].settings.min_um)

    def stop(self, axis: Axis) -> None:
        """Brake to a stand."""
        with self._lock:
            self._axes[axis].brake(self._clock())

    def halt(self, axis: Axis) -> None:
        """Stand still at once, as on an emergency stop or a stall."""
        with self._lock:
            self._axes[axis].freeze(self._clock())

    def slip(self, axis: Axis, distance_um: float) -> None:
        """Lose steps: from now on the truth is `distance_um` away from what the drive counts."""
        with self._lock:
            self._axes[axis].slip_um += distance_um

    def commanded_um(self, axis: Axis, t: float) -> float:
        """Where the drive stands at `t`, as its controller counts it."""
        with self._lock:
            return self._axes[axis].leg(t).drive(t)[0]

    def busy(self, axis: Axis, t: float) -> bool:
        """Whether the drive is still moving at `t`. Not busy is not yet settled."""
        return t < self.done_s(axis)

    def done_s(self, axis: Axis) -> float:
        """When the last move of this axis ends or ended, in clock time."""
        with self._lock:
            last = self._axes[axis].legs[-1]
            return min(last.done_s, last.ends_s)

    def targets(self) -> tuple[float, float, float]:
        """Where the axes are going, or stand, in µm."""
        with self._lock:
            x, y, z = (self._axes[axis].legs[-1].drive(math.inf)[0] for axis in AXES)
        return x, y, z

    def true_position(self, t: float) -> tuple[float, float, float]:
        """Where specimen and objective really are at `t`, in µm, with every error."""
        with self._lock:
            x, y, z = (self._axes[axis].true_um(t) for axis in AXES)
            drift = self._thermal.z_um(t - self._on_s)
        shake_x, shake_y, shake_z = self._vibration.at(t)
        true_x, true_y = self._geometry.true_xy(x, y)
        return true_x + shake_x, true_y + shake_y, z + self._geometry.crosstalk_um(x, y) + drift + shake_z
