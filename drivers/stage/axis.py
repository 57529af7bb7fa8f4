"""One axis: asks and answers in µm, and what is known about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from drivers.errors import AxisFault
from drivers.stage.dialect import Address, Dialect, Fault, Intent, Reply, Verb
from drivers.stage.model import NoAnswer, Trust
from drivers.stage.motion import EndEstimate, Trapezoid
from drivers.stage.session import Session
from drivers.stage.settings import AxisName, AxisSettings


@dataclass(frozen=True)
class AxisStatus:
    """One look at an axis."""

    um: float
    busy: bool
    fault: Fault | None


class AxisDriver:
    """Speaks for one axis of one device."""

    def __init__(self, name: AxisName, settings: AxisSettings, session: Session, dialect: Dialect) -> None:
        self.name = name
        self.settings = settings
        self.address = Address(settings.device, settings.axis)
        self.trust = Trust.UNKNOWN
        self.estimate = EndEstimate()
        self._session = session
        self._dialect = dialect

    def ask(self, verb: Verb, value: int = 0) -> Reply:
        """One request that must be accepted.

        Raises:
            AxisFault: the controller refused. LinkLost.
        """
        reply = self._session.request(Intent(verb, self.address, value))
        if not reply.accepted:
            reason = self._dialect.rejection(reply)
            raise self.error(Fault(reason.code, f"{reason.text} ('{verb.value}' refused)", reason.needs_home))
        return reply

    def error(self, fault: Fault) -> AxisFault:
        """A fault of this axis as an error; an axis that must be homed is in FAULT from now on."""
        if fault.needs_home:
            self.trust = Trust.FAULT
        remedy = "Look for the cause, then home the stage." if fault.needs_home else "Look for the cause and try again."
        code = f" ({fault.code})" if fault.code else ""
        return AxisFault(f"Stage axis {self.name} {fault.text}{code}.", remedy=remedy)

    def profile(self) -> Trapezoid:
        """Speed and acceleration in force, read from the controller."""
        speed, acceleration = self._dialect.motion(self.ask(Verb.SPEED), self.ask(Verb.ACCELERATION))
        step = self.settings.um_per_step
        return Trapezoid(speed * step, acceleration * step)

    def limits_um(self) -> tuple[float, float]:
        """Limits in force, read from the controller, lowest first."""
        ends = [self.settings.to_um(int(self.ask(verb).data)) for verb in (Verb.LIMIT_MIN, Verb.LIMIT_MAX)]
        return min(ends), max(ends)

    def status(self) -> AxisStatus:
        """Where the axis is, whether it moves, and what is wrong with it."""
        reply = self.ask(Verb.STATUS)
        return AxisStatus(self.settings.to_um(int(reply.data)), reply.busy, self._dialect.fault(reply.flag))

    def flags(self) -> tuple[str, ...]:
        """All flags in force."""
        return self._dialect.flags(self.ask(Verb.FLAGS))

    def is_homed(self) -> bool:
        """Whether the controller knows where the axis is."""
        return self._dialect.homed(self.flags())

    def clear_flags(self) -> None:
        """Clear what can be cleared."""
        self.ask(Verb.CLEAR_FLAGS)

    def start_move(self, target_um: float) -> None:
        """Send the axis to a target; it is MOVING from here on."""
        self.trust = Trust.MOVING
        self.ask(Verb.MOVE_TO, self.settings.to_steps(target_um))

    def start_home(self) -> None:
        """Send the axis to its reference. A lost answer is not repeated blindly: the axis is asked what it does."""
        self.trust = Trust.HOMING
        try:
            self.ask(Verb.HOME)
        except NoAnswer:
            if not self.status().busy:
                self.ask(Verb.HOME)


def wait_idle(axis: AxisDriver, deadline_s: float, clock: Callable[[], float], pause: Callable[[float], None]) -> float:
    """Look every 10 ms until the axis stands still; returns where, in µm.

    Raises:
        AxisFault: it reports a fault, or still moves at the deadline.
    """
    while True:
        status = axis.status()
        if status.fault and not (axis.trust is Trust.HOMING and status.busy):
            raise axis.error(status.fault)
        if not status.busy:
            return status.um
        if clock() > deadline_s:
            raise axis.error(Fault("", "still moves long after it should have arrived", needs_home=True))
        pause(0.01)


def come_to_rest(
    axis: AxisDriver, deadline_s: float, clock: Callable[[], float], pause: Callable[[float], None]
) -> bool:
    """After a stop: wait until the axis stands, and settle what is known about it. False: it does not come to rest.

    An axis that was moving still knows where it is unless it reports a fault; one that was homing does not.
    """
    while (status := axis.status()).busy:
        if clock() > deadline_s:
            axis.trust = Trust.FAULT
            return False
        pause(0.002)
    if axis.trust is Trust.HOMING:
        axis.trust = Trust.UNKNOWN
    elif axis.trust is Trust.MOVING:
        axis.trust = Trust.FAULT if status.fault and status.fault.needs_home else Trust.HOMED
    if axis.trust is Trust.HOMED:
        axis.clear_flags()
    return True
