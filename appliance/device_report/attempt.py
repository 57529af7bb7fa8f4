"""Try the parts one after another: what fails or hangs becomes a section that says so, and never ends the report."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from appliance.device_report.section import Part, Section, not_passed
from appliance.errors import ApplianceError
from drivers.errors import DeviceError
from engines.errors import EngineError

_LOOK_S = 0.1
_Made = TypeVar("_Made")
Work = Callable[["Pulse"], tuple[Section, _Made]]
"""Gives a section and what later parts need."""


class Pulse:
    """Beats as the work comes on. clock: seconds, monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.beat()

    def beat(self) -> None:
        """One more step is done."""
        self._last_s = self._clock()

    @property
    def silent_s(self) -> float:
        """Since the last step."""
        return self._clock() - self._last_s


class Attempts:
    """Each part in a thread of its own, so that one that hangs can be left behind.

    silence_s: a part without a step for so long hangs. No part is begun after it: it may hold what they need.
    """

    def __init__(self, silence_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._silence_s = silence_s
        self._clock = clock
        self._hung: Part | None = None

    @property
    def hung(self) -> bool:
        """Whether something still runs that should have ended."""
        return self._hung is not None

    def make(self, part: Part, work: Work[_Made], silence_s: float | None = None) -> tuple[Section, _Made | None]:
        """What the work gives; a section that is not passed, and None, where it gives nothing."""
        if self._hung is not None:
            return not_passed(part, f"Not run: “{self._hung.title}” had hung before."), None
        attempt = _Attempt(part, work, Pulse(self._clock))
        limit_s = self._silence_s if silence_s is None else silence_s
        if attempt.ended_within(limit_s):
            return attempt.section, attempt.made
        self._hung = part
        return not_passed(part, f"It hung: nothing came of it for {limit_s:g} s. Restart the device, try again."), None


class _Attempt(Generic[_Made]):
    """One part under way."""

    def __init__(self, part: Part, work: Work[_Made], pulse: Pulse) -> None:
        self._part = part
        self._work = work
        self._pulse = pulse
        self.made: _Made | None = None
        self._thread = threading.Thread(target=self._run, name=part.key, daemon=True)
        self._thread.start()

    def ended_within(self, silence_s: float) -> bool:
        """Wait for its end, or for such a silence."""
        while self._thread.is_alive() and self._pulse.silent_s < silence_s:
            self._thread.join(_LOOK_S)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self.section, self.made = self._work(self._pulse)
        except (ApplianceError, DeviceError, EngineError) as error:
            self.section = not_passed(self._part, f"{error.what} {error.remedy}")
        except Exception as error:  # noqa: BLE001 - whatever it is stands in the report, beside what the others found
            self.section = not_passed(self._part, f"A fault of the program ({type(error).__name__}: {error}).")
