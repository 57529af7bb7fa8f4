"""Whether a device keeps its speed while it grows warm: figures from times of fields and readings of heat."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from appliance.device_report.heat_files import HeatState
from appliance.device_report.section import THERMAL, Check, Fact, Section, Table, not_passed

SLOWER_LIMIT = 0.05
_EVERY_S = 5.0
_SPAN_S = 30.0
_COMPARED_S = 60.0
_LEAST_FIELDS = 4
_NO_THROTTLE = re.compile(r"fan|hot.?surface", re.IGNORECASE)
"""Cooling devices that cool or warn, and slow nothing down."""


@dataclass
class HeatWatch:
    """Remembers when fields were done, and reads the heat now and then.

    clock: seconds, monotonic. read: the state at such a time.
    """

    clock: Callable[[], float]
    read: Callable[[float], HeatState]
    done_s: list[float] = field(default_factory=list)
    states: list[HeatState] = field(default_factory=list)

    def field_done(self) -> None:
        """One more."""
        self.done_s.append(self.clock())

    def look(self) -> None:
        """Read, if the last time is long enough ago."""
        now_s = self.clock()
        if not self.states or now_s - self.states[-1].at_s >= _EVERY_S:
            self.states.append(self.read(now_s))


def heat_section(done_s: Sequence[float], states: Sequence[HeatState]) -> Section:
    """done_s: when each field was done, ascending. states: read meanwhile, on the same clock."""
    if len(done_s) < _LEAST_FIELDS:
        return not_passed(THERMAL, f"Only {len(done_s)} fields were read: too few to say anything of speed.")
    begun_s, ended_s = done_s[0], done_s[-1]
    compared_s = min(_COMPARED_S, (ended_s - begun_s) / 2)
    first = _per_s(done_s, begun_s, begun_s + compared_s)
    last = _per_s(done_s, ended_s - compared_s, ended_s)
    if not first:
        return not_passed(THERMAL, f"After the first field, none was read for {compared_s:.0f} s.")
    slower = 1 - last / first
    sentence = (
        f"The last {compared_s:.0f} s gave {last:.2f} fields/s, the first {first:.2f}: {abs(slower):.1%} "
        f"{'slower' if slower > 0 else 'faster'} (at most {SLOWER_LIMIT:.0%} slower)."
    )
    hottest = max(((degrees, zone) for state in states for zone, degrees in state.celsius.items()), default=None)
    facts = (
        Fact("seconds", "Length", ended_s - begun_s, "s"),
        Fact("fields", "Fields read", len(done_s)),
        Fact("first_per_s", f"First {compared_s:.0f} s", first, "fields/s"),
        Fact("last_per_s", f"Last {compared_s:.0f} s", last, "fields/s"),
        Fact("slower_percent", "Slower by", 100 * slower, "%"),
        Fact("hottest_celsius", "Hottest", hottest[0] if hottest else None, "°C" if hottest else ""),
        Fact("hottest_zone", "Where", hottest[1] if hottest else None),
    )
    checks = (Check(slower <= SLOWER_LIMIT, sentence), _seen(hottest), _throttling(states))
    return Section(THERMAL, checks, facts, (_spans(done_s, states),))


def _seen(hottest: tuple[float, str] | None) -> Check:
    if hottest is None:
        return Check(False, "No temperature can be read here (/sys/class/thermal).")
    return Check(True, f"The hottest was {hottest[1]} at {hottest[0]:.1f} °C.")


def _throttling(states: Sequence[HeatState]) -> Check:
    by = _throttled_by(states)
    if by is None:
        return Check(False, "No cooling devices are shown here: whether clocks were throttled is not known.")
    if by != "no":
        return Check(False, f"Clocks were throttled, says {by}.")
    return Check(True, "No cooling device throttled clocks.")


def _throttled_by(states: Sequence[HeatState]) -> str | None:
    """Names, "no", or None where no cooling devices are shown."""
    if not any(state.cooling for state in states):
        return None
    return ", ".join(sorted({name for state in states for name in _throttled(state)})) or "no"


def _throttled(state: HeatState) -> list[str]:
    return [name for name, level in state.cooling.items() if level > 0 and not _NO_THROTTLE.search(name)]


def _spans(done_s: Sequence[float], states: Sequence[HeatState]) -> Table:
    """Of equal length, about half a minute each."""
    begun_s, ended_s = done_s[0], done_s[-1]
    edges = np.linspace(begun_s, ended_s, max(1, round((ended_s - begun_s) / _SPAN_S)) + 1)
    rows = []
    for low_s, high_s in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        within = [state for state in states if low_s <= state.at_s <= high_s]
        loads = [state.gpu_load for state in within if state.gpu_load is not None]
        rows.append(
            (
                round(high_s - begun_s, 1),
                _per_s(done_s, low_s, high_s),
                max((degrees for state in within for degrees in state.celsius.values()), default=None),
                100 * sum(loads) / len(loads) if loads else None,
                _throttled_by(within),
            )
        )
    columns = {
        "until_s": "Until, s",
        "fields_per_s": "Fields/s",
        "hottest_celsius": "Hottest, °C",
        "gpu_load_percent": "GPU load, %",
        "throttled": "Throttled",
    }
    return Table("half_minutes", "By half minute", columns, tuple(rows))


def _per_s(done_s: Sequence[float], low_s: float, high_s: float) -> float:
    """Fields done after low_s, until high_s, a second."""
    return (bisect_right(done_s, high_s) - bisect_right(done_s, low_s)) / (high_s - low_s)
