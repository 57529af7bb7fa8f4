"""Finding the reference of some axes side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from drivers.stage.axis import AxisDriver, wait_idle
from drivers.stage.dialect import Fault
from drivers.stage.model import Trust
from drivers.stage.settings import AxisName


def home_axes(
    axes: Sequence[AxisDriver],
    longest_s: Callable[[AxisDriver], float],
    clock: Callable[[], float],
    pause: Callable[[float], None],
) -> dict[AxisName, float]:
    """Home the axes and prove it; where each stands then, in µm.

    Raises:
        AxisFault: an axis failed, took longer than `longest_s`, or does not know its reference afterwards.
        MoveStopped: `pause` was told to stop.
    """
    pause(0.0)
    for axis in axes:
        axis.clear_flags()
        axis.start_home()
    ends: dict[AxisName, float] = {}
    for axis in axes:
        ends[axis.name] = wait_idle(axis, clock() + longest_s(axis), clock, pause)
        if not axis.is_homed():
            raise axis.error(Fault("", "did not find its reference", needs_home=True))
        axis.trust = Trust.HOMED
    return ends
