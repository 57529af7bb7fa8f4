"""The watchdog is fed by the pipeline itself: each step and each recorded field, and nothing else, is a heartbeat.

A timer thread would go on beating over a scan that hangs. As it is, a scan that hangs for longer than the unit's
WatchdogSec= is ended, with the stacks of all threads in the log, and the slide goes on when it is asked for again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from appliance.records import FieldRecord
from appliance.scan.events import FieldDone, ScanListener, SecondPlaneDone
from appliance.scan.rig import Meter
from appliance.service.notify import Notifier
from appliance.service.requests import Progress, Step
from drivers.camera.frame import Camera


class Heartbeat(ScanListener):
    """Listens to one reading: feeds the watchdog, shows how far it is, and tells whoever asked for it.

    targets: labels that are findings. tell: called in the thread that acts, with each step and each progress.
    """

    def __init__(self, notifier: Notifier, targets: tuple[str, ...], tell: Callable[[Step | Progress], None]) -> None:
        self._notifier = notifier
        self._targets = targets
        self._tell = tell
        self._mutex = threading.Lock()  # steps come from the scanner's thread, fields from the reader's
        self._step = ""
        self._progress = Progress()

    @property
    def now(self) -> tuple[str, Progress]:
        """The step it is at, and how far it is."""
        with self._mutex:
            return self._step, self._progress

    def opened(self, camera: Camera) -> None:  # noqa: ARG002 - the interface's
        """The hardware answers."""
        self._notifier.alive()

    def step(self, text: str) -> None:
        """A step begins."""
        with self._mutex:
            self._step = text
        self._notifier.alive(text)
        self._tell(Step(step=text))

    def planned(self, total: int, already: int) -> None:
        """The plan stands."""
        self._further(planned=total, recorded=already)

    def surveyed(self, meter: Meter) -> None:  # noqa: ARG002 - the interface's
        """The survey is over."""
        self.step("reading fields")

    def field_done(self, done: FieldDone) -> None:
        """One field more."""
        self._further(recorded=1, findings=self._findings(done.record))

    def second_plane_done(self, done: SecondPlaneDone) -> None:
        """A recorded field holds more than it seemed to."""
        self._further(findings=self._findings(done.record) - self._findings(done.first))

    def ended_early(self, visited: int) -> None:
        """The rest of the plan is not needed."""
        self.step(f"{visited} fields are enough")

    def _findings(self, record: FieldRecord) -> int:
        return sum(record.counts.get(label, 0) for label in self._targets)

    def _further(self, *, planned: int = 0, recorded: int = 0, findings: int = 0) -> None:
        with self._mutex:
            before = self._progress
            now = self._progress = Progress(
                planned=before.planned + planned,
                recorded=before.recorded + recorded,
                findings=before.findings + findings,
            )
        self._notifier.alive(f"field {now.recorded} of {now.planned}, {now.findings} findings")
        self._tell(now)
