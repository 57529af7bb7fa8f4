"""Carries one move to its end: sleeps until shortly before a predicted arrival, then asks as fast as answers come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from drivers.stage.axis import AxisDriver, AxisStatus
from drivers.stage.dialect import Fault
from drivers.stage.model import Move, MoveStopped, MoveTimes, Trust
from drivers.stage.motion import Leg, Standing, Trapezoid
from drivers.stage.settings import AxisName

_SPARE_FACTOR = 1.5
_SPARE_S = 1.0
_ON_TIME_S = 0.001


def stopped() -> MoveStopped:
    """The error for a move that somebody stopped."""
    return MoveStopped(
        "The move was stopped before its target.", safe="The axes were told to stop.", remedy="Move again when ready."
    )


@dataclass
class _Way:
    """What one axis still has to do in a leg: the target under way, those after it, and when to look."""

    target_um: float
    after: tuple[float, ...]
    predicted_s: float
    deadline_s: float
    look_s: float
    looks: int = 0
    on_time: bool = True


class MoveRunner:
    """One move under way. `pause` sleeps, and raises MoveStopped when a stop was asked for."""

    def __init__(
        self,
        move: Move,
        standing: Standing,
        *,
        axes: dict[AxisName, AxisDriver],
        profiles: dict[AxisName, Trapezoid],
        arrival_um: float,
        clock: Callable[[], float],
        pause: Callable[[float], None],
    ) -> None:
        self.move = move
        self.standing = standing
        self._axes = axes
        self._profiles = profiles
        self._arrival_um = arrival_um
        self._clock = clock
        self._pause = pause
        self._ways: dict[AxisName, _Way] = {}
        self._idle_s: dict[AxisName, float] = {}

    def start(self) -> None:
        """Send the first leg."""
        if self.move.legs:
            self._begin(self.move.legs[0])

    def finish(self) -> MoveTimes:
        """Wait for all legs and for the settling.

        Raises:
            MoveStopped, AxisFault, LinkLost.
        """
        for index, leg in enumerate(self.move.legs):
            if index > 0:
                self._begin(leg)
            while self._ways:
                name = min(self._ways, key=lambda n: self._ways[n].look_s)
                self._pause(self._ways[name].look_s - self._clock())
                self._look(name)
        idle_s = max(self._idle_s.values(), default=self._clock())
        settled_s = max((t + self._axes[n].settings.settle_ms / 1e3 for n, t in self._idle_s.items()), default=idle_s)
        self._pause(settled_s - self._clock())
        return MoveTimes(move_s=idle_s - self.move.started_s, settle_s=self._clock() - idle_s)

    def _arrived(self, status: AxisStatus, way: _Way) -> bool:
        return abs(status.um - way.target_um) <= self._arrival_um

    def _begin(self, leg: Leg) -> None:
        for name, way in leg.items():
            self._go(name, way)

    def _go(self, name: AxisName, way: tuple[float, ...]) -> None:
        axis = self._axes[name]
        sent_s = self._clock()
        needed_s = self._profiles[name].duration_s(way[0] - self.standing.of(name))
        axis.start_move(way[0])
        self._ways[name] = _Way(
            target_um=way[0],
            after=way[1:],
            predicted_s=sent_s + needed_s,
            deadline_s=sent_s + _SPARE_FACTOR * needed_s + _SPARE_S,
            look_s=axis.estimate.first_poll_s(sent_s + needed_s),
        )

    def _look(self, name: AxisName) -> None:
        axis, way = self._axes[name], self._ways[name]
        if way.looks == 0:
            way.on_time = self._clock() - way.look_s < _ON_TIME_S
        status = axis.status()
        if not status.busy and not self._arrived(status, way):
            # A controller may read the position an instant before it finds the axis idle: look twice before judging.
            status = axis.status()
        now_s = self._clock()
        way.looks += 1
        if status.fault:
            raise axis.error(status.fault)
        if status.busy:
            if now_s > way.deadline_s:
                raise axis.error(Fault("", "still moves long after it should have arrived", needs_home=True))
            way.look_s = now_s
            return
        if not self._arrived(status, way):
            text = f"stopped at {status.um:.1f} µm instead of {way.target_um:.1f} µm"
            raise axis.error(Fault("", text, needs_home=True))
        if way.on_time:
            axis.estimate.learn(way.predicted_s, now_s, way.looks)
        self.standing = self.standing.after(name, status.um)
        if way.after:
            self._go(name, way.after)
            return
        del self._ways[name]
        self._idle_s[name] = now_s
        axis.trust = Trust.HOMED
