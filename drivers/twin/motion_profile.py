"""One leg of motion of one axis: where it is at any time, including play, ringing and repeatability. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

Phases = tuple[tuple[float, float], ...]
"""Pieces of constant acceleration: (duration in s, acceleration in µm/s²)."""


def move_phases(distance_um: float, speed_um_s: float, acceleration_um_s2: float) -> Phases:
    """Accelerate, cruise, brake from rest to rest; a short move never reaches the speed and lasts 2 sqrt(d/a)."""
    distance = abs(distance_um)
    if distance == 0:
        return ()
    a = math.copysign(acceleration_um_s2, distance_um)
    ramp_s = min(speed_um_s / acceleration_um_s2, math.sqrt(distance / acceleration_um_s2))
    cruise_s = max(0.0, distance / (acceleration_um_s2 * ramp_s) - ramp_s)
    return ((ramp_s, a), (cruise_s, 0.0), (ramp_s, -a))


def stop_phases(velocity_um_s: float, acceleration_um_s2: float) -> Phases:
    """Brake from the present velocity to rest."""
    if velocity_um_s == 0:
        return ()
    return ((abs(velocity_um_s) / acceleration_um_s2, -math.copysign(acceleration_um_s2, velocity_um_s)),)


@dataclass(frozen=True)
class Ringing:
    """Damped oscillation after the drive has stopped: amplitude exp(-t/tau) cos(2 pi f t)."""

    amplitude_um: float
    tau_s: float
    hz: float

    def at(self, t: float) -> float:
        """Displacement in µm, `t` seconds after the drive stopped."""
        if t < 0 or self.amplitude_um == 0:
            return 0.0
        return self.amplitude_um * math.exp(-t / self.tau_s) * math.cos(2 * math.pi * self.hz * t)


@dataclass(frozen=True)
class Leg:
    """A piece of motion that keeps one direction, and what the axis brought into it.

    start_um, velocity_um_s: the drive at `start_s`. load_um: where the load stood then (it lags by the play).
    error_from_um, error_to_um: repeatability error before, and the one this leg ends with.
    ends_s: infinity, or when a later command cut this leg short.
    """

    start_s: float
    start_um: float
    velocity_um_s: float
    phases: Phases
    load_um: float
    error_from_um: float
    error_to_um: float
    ringing: Ringing
    ends_s: float = math.inf

    @property
    def done_s(self) -> float:
        """When the drive stands still, if nothing interferes."""
        return self.start_s + sum(duration for duration, _ in self.phases)

    def drive(self, t: float) -> tuple[float, float]:
        """Position (µm) and velocity (µm/s) of the drive at time `t`."""
        position, velocity, left = self.start_um, self.velocity_um_s, max(0.0, min(t, self.ends_s) - self.start_s)
        for duration, acceleration in self.phases:
            step = min(left, duration)
            position += velocity * step + 0.5 * acceleration * step * step
            velocity += acceleration * step
            left -= step
            if left <= 0:
                return position, velocity
        return position, 0.0

    def load(self, t: float, play_um: float) -> float:
        """Position of the load in µm: pushed from below it follows the drive, on the way down it lags by the play."""
        position, _ = self.drive(t)
        return min(max(self.load_um, position), position + play_um)

    def error(self, t: float) -> float:
        """Repeatability error in µm, growing from the old to the new value as the leg proceeds."""
        total = self.done_s - self.start_s
        if total <= 0:
            return self.error_to_um
        share = min(1.0, max(0.0, (min(t, self.ends_s) - self.start_s) / total))
        return self.error_from_um + share * (self.error_to_um - self.error_from_um)

    def ring(self, t: float) -> float:
        """Ringing in µm left by this leg at `t`; a leg that was cut short leaves none."""
        return self.ringing.at(t - self.done_s) if self.phases and self.done_s <= self.ends_s else 0.0

    def cut(self, t: float) -> Leg:
        """The same leg, ended at `t` unless it had ended before."""
        return replace(self, ends_s=min(self.ends_s, t))
