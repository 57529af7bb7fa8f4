"""The stage in simulated time: the driver's ways and limits, the twin's mechanics, no wire."""

from __future__ import annotations

import itertools

from drivers.stage.limits import askable, on_grid, require_ways_inside
from drivers.stage.model import Move, MoveTimes, Position, StageBusy
from drivers.stage.motion import Leg, Standing, Trapezoid, plan_legs, schedule, walk
from drivers.stage.runner import stopped
from drivers.stage.settings import AXES, AxisName, StageSettings
from drivers.twin.mechanics import Mechanics
from drivers.twin.virtual.clock import VirtualClock


class VirtualStage:
    """Moves as `drivers.stage.Stage` does, is homed from the start, and never fails.

    Z ends every way upward, long XY ways run with Z low, and targets outside the limits are refused. What the
    controller's answers cost on a serial line is not simulated. One thread.
    """

    def __init__(self, settings: StageSettings, mechanics: Mechanics, clock: VirtualClock) -> None:
        self.settings = settings
        self.profiles = {name: _profile(mechanics, name) for name in AXES}
        self._mechanics = mechanics
        self._clock = clock
        self._numbers = itertools.count(1)
        self._open: tuple[Move, MoveTimes] | None = None
        x_um, y_um, z_um = mechanics.targets()
        self._standing = Standing(x_um, y_um, z_um, z_rising_from_um=z_um)

    def limits(self) -> dict[AxisName, tuple[float, float]]:
        """Lowest and highest target in µm that a move may ask for; Z leaves room below for its approach."""
        return {name: askable(self.settings, name) for name in AXES}

    def position(self) -> Position:
        """Where the controller counts the axes to be now, also during a move."""
        x_um, y_um, z_um = (self._mechanics.commanded_um(name, self._clock.now_s) for name in AXES)
        return Position(x_um, y_um, z_um)

    def move(self, x_um: float | None = None, y_um: float | None = None, z_um: float | None = None) -> Move:
        """Start a move to absolute targets; no time passes until something is waited for.

        Raises:
            LimitError: a target, or the way Z takes to it, leaves the limits; nothing moves.
            StageBusy: the previous move was not waited for.
        """
        asked = {"x": x_um, "y": y_um, "z": z_um}
        with self._clock.simulating():
            targets: dict[AxisName, float] = {
                name: on_grid(self.settings, name, um) for name in AXES if (um := asked[name]) is not None
            }
            return self._start(targets, tuple(plan_legs(self._standing, targets, self.settings)), None)

    def creep(self, z_um: float, speed_um_s: float) -> Move:
        """Start an even motion of Z, straight to a height, at a limited speed: for methods that expose on the way.

        The real driver has no such move. Raises LimitError, StageBusy.
        """
        with self._clock.simulating():
            target = on_grid(self.settings, "z", z_um)
            legs: tuple[Leg, ...] = ({"z": (target,)},) if target != self._standing.z_um else ()
            return self._start({"z": target}, legs, speed_um_s)

    def wait(self, move: Move) -> MoveTimes:
        """Let time pass until a move has arrived and its axes have settled. Raises MoveStopped when `retract` ended it.

        A move that was over already takes no more time.
        """
        if self._open is None or self._open[0] is not move:
            raise stopped()
        times = self._open[1]
        self._open = None
        with self._clock.simulating():
            self._clock.wait_until(move.started_s + times.move_s + times.settle_s)
        return times

    def move_and_wait(
        self, x_um: float | None = None, y_um: float | None = None, z_um: float | None = None
    ) -> MoveTimes:
        """`move`, then `wait`."""
        return self.wait(self.move(x_um, y_um, z_um))

    def retract(self) -> bool:
        """Stop everything and take Z away from the slide; it always gets there."""
        with self._clock.simulating():
            self._open = None
            for name in AXES:
                self._mechanics.stop(name)
            self._clock.wait_until(max(self._mechanics.done_s(name) for name in AXES))
            x_um, y_um, z_um = self._mechanics.targets()
            if z_um > self.settings.retract_z_um:
                z_um = self.settings.retract_z_um
                self._clock.wait_until(self._command("z", z_um, self._clock.now_s, None))
            self._standing = Standing(x_um, y_um, z_um, z_rising_from_um=z_um)
        return True

    def _start(self, targets: dict[AxisName, float], legs: tuple[Leg, ...], z_speed_um_s: float | None) -> Move:
        if self._open is not None:
            raise StageBusy(
                "A move was asked for before the last one was waited for.",
                safe="The last move goes on.",
                remedy="Wait for it, or stop the stage.",
            )
        require_ways_inside(self.settings, legs)
        settle = {name: self.settings.axis(name).settle_ms / 1e3 for name in AXES}
        profiles = dict(self.profiles)
        if z_speed_um_s is not None:
            profiles["z"] = Trapezoid(z_speed_um_s, profiles["z"].acceleration_um_s2)
        motion_s, total_s = schedule(self._standing, legs, profiles, settle)
        ways = {name: way[-1] for leg in legs for name, way in leg.items()}
        move = Move(next(self._numbers), {**targets, **ways}, legs, motion_s, total_s - motion_s, self._clock.now_s)
        ends = self._drive(legs, z_speed_um_s)
        arrived_s = max(ends.values(), default=move.started_s)
        settled_s = max((end + settle[name] for name, end in ends.items()), default=move.started_s)
        self._open = (move, MoveTimes(arrived_s - move.started_s, settled_s - arrived_s))
        for leg in legs:
            self._standing = walk(self._standing, leg)
        return move

    def _drive(self, legs: tuple[Leg, ...], z_speed_um_s: float | None) -> dict[AxisName, float]:
        """Command all ways, each from the end of what goes before it; when each axis will stand for good."""
        ends: dict[AxisName, float] = {}
        begin_s = self._clock.now_s
        for leg in legs:
            for name, way in leg.items():
                ends[name] = begin_s
                for target_um in way:
                    ends[name] = self._command(name, target_um, ends[name], z_speed_um_s if name == "z" else None)
            begin_s = max(ends.values())
        return ends

    def _command(self, name: AxisName, target_um: float, at_s: float, speed_um_s: float | None) -> float:
        """Start one axis at a moment that may lie ahead; when it will stand."""
        now_s, self._clock.now_s = self._clock.now_s, at_s
        try:
            return self._mechanics.command_move(name, target_um, None if speed_um_s is None else speed_um_s / 1e3)
        finally:
            self._clock.now_s = now_s


def _profile(mechanics: Mechanics, name: AxisName) -> Trapezoid:
    own = mechanics.axis(name)
    return Trapezoid(own.speed_mm_s * 1e3, own.acceleration_mm_s2 * 1e3)
