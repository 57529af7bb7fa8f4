"""One axis of the twin's Zaber controller: counts, reference, limits, flags; the motion itself is in `mechanics`."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum

from drivers.twin.mechanics import Axis, Mechanics

# fmt: off
_PRIORITY = (
    "FF", "FN", "FZ", "FH", "FV", "FO", "FC", "FM", "FD", "FQ", "FI", "FA", "FR", "FS", "FB", "FP", "FE", "FT",
    "WL", "WV", "WT", "WS", "WM", "WP", "WR", "WH", "NC", "NI", "ND", "NR", "NT", "NU", "NJ", "NB",
)
# fmt: on
_PERSISTENT = {"WR", "WH"}
_STEADY = 1.6384  # maker's speed and acceleration units, see ZaberAxis


class Refused(Exception):
    """The controller rejects a command; the argument is the maker's reason word."""


class AxisEvent(str, Enum):
    """What tests and demonstrations may do to an axis while it runs."""

    STALL = "stall"
    STALL_NEXT_MOVE = "stall_next_move"
    LIMIT_SWITCH = "limit_switch"
    LIMIT_FAULT = "limit_fault"
    EMERGENCY_STOP = "emergency_stop"
    KNOB = "knob"
    JAM = "jam"


class ZaberAxis:
    """Counts are microsteps of `um_per_step`. `maxspeed` is counts/s * 1.6384, `accel` counts/s² * 1.6384 / 10000.

    Until it is homed the axis counts from wherever it stood when switched on, and refuses absolute targets.
    """

    def __init__(self, name: Axis, mechanics: Mechanics, clock: Callable[[], float]) -> None:
        self.name = name
        self._mechanics = mechanics
        self._clock = clock
        own = mechanics.axis(name)
        self.um_per_step = own.step_um
        self.limit_min = round(own.min_um / own.step_um)
        self.limit_max = round(own.max_um / own.step_um)
        self.maxspeed = round(own.speed_mm_s * 1e3 / own.step_um * _STEADY)
        self.accel = max(1, round(own.acceleration_mm_s2 * 1e3 / own.step_um * _STEADY / 10_000))
        self.homed = False
        self._offset = -round(own.start_um / own.step_um)
        self._homing = False
        self._reported_busy = False
        self._jammed = False
        self._stall_at_s = math.inf
        self._stall_next = False
        self._flags = {"WR", "WH"}

    def update(self) -> bool:
        """Let what has become due happen; whether the axis has come to rest since the last call."""
        now = self._clock()
        if now >= self._stall_at_s:
            self._stand("FS")
        busy = self.busy()
        if self._homing and not busy:
            self._homing, self.homed, self._offset = False, True, 0
            self._flags -= _PERSISTENT
        rested = self._reported_busy and not busy
        self._reported_busy = busy
        return rested

    def busy(self) -> bool:
        """Whether the drive moves, or cannot stop claiming so."""
        return self._jammed or self._mechanics.busy(self.name, self._clock())

    def next_event_s(self) -> float:
        """When something will happen without being told to."""
        end = self._mechanics.done_s(self.name) if self._reported_busy and not self._jammed else math.inf
        return min(end, self._stall_at_s)

    @property
    def position(self) -> int:
        """Where the controller counts the axis to be."""
        return round(self._mechanics.commanded_um(self.name, self._clock()) / self.um_per_step) + self._offset

    def flags(self) -> list[str]:
        """Flags in force, most important first."""
        return [flag for flag in _PRIORITY if flag in self._flags]

    def clear_flags(self) -> None:
        """Clear all but what only homing clears."""
        self._flags &= _PERSISTENT

    def home(self) -> None:
        """Drive to the home sensor."""
        self._interrupt()
        self._homing, self.homed = True, False
        self._mechanics.home(self.name)
        self._reported_busy = True

    def move_to(self, target: int) -> None:
        """Absolute move in counts; refused without reference or outside the limits."""
        if not self.homed or not self.limit_min <= target <= self.limit_max:
            raise Refused("BADDATA")
        self._drive(target)

    def move_by(self, counts: int) -> None:
        """Relative move in counts."""
        target = self.position + counts
        if self.homed and not self.limit_min <= target <= self.limit_max:
            raise Refused("BADDATA")
        self._drive(target)

    def stop(self) -> None:
        """Brake to a stand."""
        if self.busy():
            self._interrupt()
            self._mechanics.stop(self.name)

    def emergency_stop(self) -> None:
        """Stand still at once."""
        if self.busy():
            self._interrupt()
            self._mechanics.halt(self.name)

    def suffer(self, event: AxisEvent, distance_um: float = 0.0) -> None:
        """Let something happen to the axis. distance_um: how far a hand turns the knob."""
        if event is AxisEvent.STALL:
            self._stand("FS")
        elif event is AxisEvent.STALL_NEXT_MOVE:
            self._stall_next = True
        elif event is AxisEvent.LIMIT_SWITCH:
            self._stand("WL")
        elif event is AxisEvent.LIMIT_FAULT:
            self._stand("FE")
        elif event is AxisEvent.EMERGENCY_STOP:
            self._stand("FH")
        elif event is AxisEvent.JAM:
            self._jammed = True
        else:
            self._interrupt()
            self._drive(self.position + round(distance_um / self.um_per_step))
            self._flags.add("NC")

    def _drive(self, target: int) -> None:
        self._interrupt()
        start_s = self._clock()
        end_s = self._mechanics.command_move(
            self.name,
            (target - self._offset) * self.um_per_step,
            speed_mm_s=self.maxspeed / _STEADY * self.um_per_step / 1e3,
            acceleration_mm_s2=self.accel * 10_000 / _STEADY * self.um_per_step / 1e3,
        )
        if self._stall_next:
            self._stall_next = False
            self._stall_at_s = (start_s + end_s) / 2
        self._reported_busy = True

    def _interrupt(self) -> None:
        """A new order while one is being carried out leaves a note; an unfinished homing leaves no reference."""
        self._flags.discard("NI")
        if self.busy():
            self._flags.add("NI")
            if self._homing:
                self._homing = False
                self._flags |= _PERSISTENT

    def _stand(self, flag: str) -> None:
        self._stall_at_s = math.inf
        self._mechanics.halt(self.name)
        self._homing = False
        self._flags.add(flag)
