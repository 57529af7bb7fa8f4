"""Time that passes only by what stage and camera take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class VirtualClock:
    """Seconds since the microscope was switched on.

    simulating_s: what simulating the devices has cost the host, in its own seconds; a bench takes it off the time that
    a method needed. Not thread-safe: devices are used from one thread at a time.
    """

    def __init__(self) -> None:
        self.now_s = 0.0
        self.simulating_s = 0.0
        self._depth = 0

    def __call__(self) -> float:
        """The time now."""
        return self.now_s

    @property
    def now_ns(self) -> int:
        """The time now in nanoseconds, as frames carry it."""
        return round(self.now_s * 1e9)

    def wait_until(self, then_s: float) -> None:
        """Let time pass; a moment that has gone by is not waited for."""
        self.now_s = max(self.now_s, then_s)

    @contextmanager
    def simulating(self) -> Iterator[None]:
        """The host's time inside the block counts as the simulation's; blocks inside it count once."""
        start = time.perf_counter()
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0:
                self.simulating_s += time.perf_counter() - start
