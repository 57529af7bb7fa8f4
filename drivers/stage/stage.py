"""The stage in µm: limits, homing, trust, protection of the slide, waiting for moves.

Only the stage refuses; whoever asks may ask for anything. It owns the rules that keep glass and objective apart:
home with Z first and downward, no long XY way with Z high, the last piece of every Z way upward, Z retracted on every
abnormal path, and no move from a position that is not known.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from drivers.errors import AxisFault, DeviceError, LinkLost, NotHomed
from drivers.stage.axis import AxisDriver, come_to_rest, wait_idle
from drivers.stage.dialect import Address, Fault, Intent, Verb
from drivers.stage.homing import home_axes
from drivers.stage.limits import askable, on_grid, require_ways_inside
from drivers.stage.model import ControllerInfo, Move, MoveStopped, MoveTimes, Position, StageBusy, Trust
from drivers.stage.motion import Standing, Trapezoid, plan_legs, schedule
from drivers.stage.runner import MoveRunner, stopped
from drivers.stage.session import Session, SessionCounts, TraceEntry
from drivers.stage.settings import AXES, AxisName, StageSettings

_REST_S = 1.0
_SPARE_S = 5.0
_Z_FIRST: tuple[AxisName, ...] = ("z", "x", "y")


class Stage:
    """Three axes behind one controller chain. Built by `open_stage`.

    `stop` and `retract` may be called from any thread; everything else from one thread at a time.
    """

    def __init__(
        self,
        settings: StageSettings,
        session: Session,
        *,
        axes: dict[AxisName, AxisDriver],
        profiles: dict[AxisName, Trapezoid],
        controllers: tuple[ControllerInfo, ...],
        clock: Callable[[], float],
    ) -> None:
        self.settings = settings
        self.controllers = controllers
        self.profiles = profiles
        self.hardware_seconds = 0.0
        self._session = session
        self._axes = axes
        self._clock = clock
        self._motion = threading.RLock()
        self._stop_asked = threading.Event()
        self._numbers = itertools.count(1)
        self._open: MoveRunner | None = None
        self._standing: Standing | None = None

    @property
    def trust(self) -> dict[AxisName, Trust]:
        """What is known about each axis."""
        return {name: axis.trust for name, axis in self._axes.items()}

    @property
    def counts(self) -> SessionCounts:
        """What went wrong on the line so far."""
        return self._session.counts

    def trace(self) -> list[TraceEntry]:
        """The latest bytes in both directions, for a support bundle."""
        return self._session.trace()

    def limits(self) -> dict[AxisName, tuple[float, float]]:
        """Lowest and highest target in µm that a move may ask for; Z leaves room below for its approach."""
        return {name: askable(self.settings, name) for name in AXES}

    def position(self) -> Position:
        """Where the controller counts the axes to be.

        Raises:
            NotHomed: an axis does not know. LinkLost, AxisFault.
        """
        if self._open is None:
            self._require_homed()
        with self._guard():
            x, y, z = (self._axes[name].status().um for name in AXES)
        return Position(x, y, z)

    def home(self) -> None:
        """Find the reference of all axes: Z first, away from the slide, and only when that is proven X and Y.

        Raises:
            AxisFault: an axis did not find its reference; nothing else moves then. LinkLost.
        """
        with self._motion, self._made_safe(), self._guard():
            self._open, self._standing = None, None
            z_um = self._home("z")["z"]
            if z_um > self.settings.retract_z_um:
                lost = Fault("", f"stands at {z_um:.1f} µm after homing, which is not retracted", needs_home=True)
                raise self._axes["z"].error(lost)
            ends = self._home("x", "y")
            self._standing = Standing(ends["x"], ends["y"], z_um, z_rising_from_um=z_um)

    def move(self, x_um: float | None = None, y_um: float | None = None, z_um: float | None = None) -> Move:
        """Start a move to absolute targets and return at once; `wait` carries it to its end.

        Raises:
            LimitError: a target, or the way Z takes to it, leaves the limits; nothing moves.
            NotHomed: an axis does not know where it is; nothing moves.
            StageBusy: the previous move was not waited for. AxisFault, LinkLost.
        """
        asked = {"x": x_um, "y": y_um, "z": z_um}
        with self._motion:
            if self._open is not None:
                raise StageBusy(
                    "A move was asked for before the last one was waited for.",
                    safe="The last move goes on.",
                    remedy="Wait for it, or stop the stage.",
                )
            targets: dict[AxisName, float] = {
                n: on_grid(self.settings, n, um) for n in AXES if (um := asked[n]) is not None
            }
            self._require_homed()
            with self._made_safe(), self._guard():
                self._standing = self._standing or self._look()
                self._open = self._plan(self._standing, targets)
                self._open.start()
            return self._open.move

    def wait(self, move: Move) -> MoveTimes:
        """Wait until a move has arrived and its axes have settled.

        Raises:
            MoveStopped: `stop` or `retract` ended it. AxisFault: an axis failed; all axes were stopped and Z was
            retracted as far as possible. LinkLost: positions are unknown now.
        """
        with self._motion:
            runner = self._open
            if runner is None or runner.move is not move:
                raise stopped()
            try:
                with self._made_safe(), self._guard():
                    times = runner.finish()
            finally:
                self._open, self._standing = None, None
            self._standing = runner.standing
            self.hardware_seconds += move.predicted_s
            return times

    def move_and_wait(
        self, x_um: float | None = None, y_um: float | None = None, z_um: float | None = None
    ) -> MoveTimes:
        """`move`, then `wait`."""
        return self.wait(self.move(x_um, y_um, z_um))

    def stop(self) -> None:
        """Brake all axes now, overtaking whatever is being asked; a waiting `wait` raises MoveStopped.

        Homed axes stay homed. This is not an emergency stop: it needs the link and the controller.

        Raises:
            LinkLost: the stop could not be delivered. AxisFault: an axis does not come to rest.
        """
        with self._halted():
            restless = [name for name in _Z_FIRST if not self._rest(name)]
        if restless:
            fault = Fault("", "does not come to rest after a stop", needs_home=True)
            raise self._axes[restless[0]].error(fault)

    def retract(self) -> bool:
        """Stop everything and take Z away from the slide; whether Z is now proven to be at or below `retract_z_um`.

        False means that Z cannot be trusted and was left standing: home the stage. Z goes first; what X and Y then do
        is told by `trust`.

        Raises:
            LinkLost: the controller cannot be reached. AxisFault: Z failed on the way.
        """
        with self._halted():
            retracted = self._rest("z") and self._lower_z()
            for name in _Z_FIRST[1:]:
                self._rest(name)
        return retracted

    def close(self) -> None:
        """Let the port go. Axes stay where they are; safe to call twice."""
        self._session.close()

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._make_safe()
        self.close()

    @contextmanager
    def _halted(self) -> Iterator[None]:
        """Tell all devices to brake; inside, no move is open and none can begin."""
        self._stop_asked.set()
        lost: LinkLost | None = None
        try:
            self._send_stop()
        except LinkLost as error:
            lost = error
        with self._motion:
            self._stop_asked.clear()
            self._open, self._standing = None, None
            if lost:
                raise lost
            with self._guard():
                # Whoever held the lock may have started a leg just after the first stop.
                self._send_stop()
                yield

    def _send_stop(self) -> None:
        with self._guard():
            self._session.urgent([Intent(Verb.STOP, Address(device)) for device in self.settings.devices()])

    def _rest(self, name: AxisName) -> bool:
        return come_to_rest(self._axes[name], self._clock() + _REST_S, self._clock, self._pause)

    def _lower_z(self) -> bool:
        z = self._axes["z"]
        if z.trust is not Trust.HOMED:
            return False
        z_um = z.status().um
        if z_um > self.settings.retract_z_um:
            z.start_move(self.settings.retract_z_um)
            z_um = wait_idle(z, self._clock() + self._longest_s("z"), self._clock, self._pause)
            z.trust = Trust.HOMED
        return z_um <= self.settings.retract_z_um + self.settings.arrival_um

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """When the link is lost, no position is known any more."""
        try:
            yield
        except LinkLost:
            for axis in self._axes.values():
                axis.trust = Trust.UNKNOWN
            raise

    @contextmanager
    def _made_safe(self) -> Iterator[None]:
        """When an axis fails, stop all, retract Z, and say how that went."""
        try:
            yield
        except MoveStopped:
            raise
        except AxisFault as error:
            raise AxisFault(error.what, safe=self._make_safe(), remedy=error.remedy) from error

    def _make_safe(self) -> str:
        try:
            retracted = self.retract()
        except DeviceError as error:
            return f"Z could not be retracted: {error.what}"
        if retracted:
            return "All axes were stopped and Z is retracted."
        return "All axes were stopped; Z does not know where it is and was left standing."

    def _require_homed(self) -> None:
        lost = [f"{name} is {axis.trust.value}" for name, axis in self._axes.items() if axis.trust is not Trust.HOMED]
        if lost:
            raise NotHomed(
                f"The stage cannot move: {', '.join(lost)}.", safe="Nothing was moved.", remedy="Home the stage."
            )

    def _look(self) -> Standing:
        """Where the axes stand, when that is not remembered; backlash of Z then counts as not taken up."""
        x, y, z = (self._axes[name].status().um for name in AXES)
        return Standing(x, y, z, z_rising_from_um=z)

    def _plan(self, now: Standing, targets: dict[AxisName, float]) -> MoveRunner:
        legs = tuple(plan_legs(now, targets, self.settings))
        require_ways_inside(self.settings, legs)
        settles: dict[AxisName, float] = {name: axis.settings.settle_ms / 1e3 for name, axis in self._axes.items()}
        motion_s, total_s = schedule(now, legs, self.profiles, settles)
        ends = {name: way[-1] for leg in legs for name, way in leg.items()}
        move = Move(next(self._numbers), {**targets, **ends}, legs, motion_s, total_s - motion_s, self._clock())
        return MoveRunner(
            move,
            now,
            axes=self._axes,
            profiles=self.profiles,
            arrival_um=self.settings.arrival_um,
            clock=self._clock,
            pause=self._pause,
        )

    def _home(self, *names: AxisName) -> dict[AxisName, float]:
        axes = [self._axes[name] for name in names]
        return home_axes(axes, lambda axis: self._longest_s(axis.name), self._clock, self._pause)

    def _longest_s(self, name: AxisName) -> float:
        """A generous time for the whole travel, homing included."""
        axis = self._axes[name].settings
        return 3 * self.profiles[name].duration_s(axis.max_um - axis.min_um) + _SPARE_S

    def _pause(self, seconds: float) -> None:
        if self._stop_asked.wait(max(0.0, seconds)):
            raise stopped()
