"""Time that passes only by what stage and camera take, and, where a bench asks for it, by what the host computes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class VirtualClock:
    """Seconds since the microscope was switched on.

    counts_host: the processor time that this process spends between calls of the devices passes here, too, so that what
    is computed during a move costs nothing while the move lasts. waited_s: what stage and camera were waited for.
    host_s: processor time between calls, from the first one on. Not thread-safe: devices are used one call at a time.
    """

    def __init__(self, *, counts_host: bool = False) -> None:
        self.now_s = 0.0
        self.waited_s = 0.0
        self.host_s = 0.0
        self._counts_host = counts_host
        self._depth = 0
        self._left_s: float | None = None

    def __call__(self) -> float:
        """The time now."""
        return self.now_s

    @property
    def now_ns(self) -> int:
        """The time now in nanoseconds, as frames carry it."""
        return round(self.now_s * 1e9)

    def wait_until(self, then_s: float) -> None:
        """Let time pass; a moment that has gone by is not waited for."""
        self.waited_s += max(0.0, then_s - self.now_s)
        self.now_s = max(self.now_s, then_s)

    def start_host(self) -> None:
        """The host begins to compute: what another microscope's user computed before is none of this one's."""
        self._left_s = self._host_now_s()

    def stop_host(self) -> None:
        """The host's work is over, for now."""
        self._pass_host()
        self._left_s = None

    @contextmanager
    def simulating(self) -> Iterator[None]:
        """A call of a device: the host's time inside the block is the simulation's."""
        if self._depth == 0:
            self._pass_host()
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0 and self._left_s is not None:
                self._left_s = self._host_now_s()

    def _pass_host(self) -> None:
        if self._left_s is None:
            return
        spent_s = self._host_now_s() - self._left_s
        self.host_s += spent_s
        if self._counts_host:
            self.now_s += spent_s

    def _host_now_s(self) -> float:
        return time.process_time()


class PacedClock(VirtualClock):
    """The same in real time: what stage and camera take is slept, and everything else takes what it takes.

    For what runs beside the scan in threads of its own.
    """

    def __init__(self) -> None:
        super().__init__(counts_host=True)
        self.start_host()

    def wait_until(self, then_s: float) -> None:
        """Sleep until then; a moment that has gone by is not waited for."""
        time.sleep(max(0.0, then_s - self.now_s))
        super().wait_until(then_s)

    def _host_now_s(self) -> float:
        return time.perf_counter()
