"""The reader thread: frames in, recorded fields out. It owns the scorer and writes the journal.

The queue in front of it is bounded: when scoring or the disk is slow, the stage waits; nothing is dropped.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.records import FieldRecord, Finding, FocusResult, Outcome, SlideRun
from appliance.scan.crop import crop_jpeg, encode_jpeg
from appliance.scan.events import FieldDone
from appliance.scan.interpret import Interpretation, ReadingRules, interpret
from appliance.scan.plan import PlannedField
from appliance.scan.rig import Meter
from drivers.camera.colour import to_rgb
from drivers.camera.frame import Frame
from engines.scorer import Scorer

_LOOK_S = 0.5


@dataclass(frozen=True)
class Capture:
    """A field as it left the microscope. frame: the kept one, None when there is none; seconds: wall time by part."""

    planned: PlannedField
    outcome: Outcome
    reason: str
    focus: FocusResult
    frame: Frame | None
    meter: Meter
    seconds: dict[str, float]


class FieldSink(Protocol):
    """Where recorded fields go: `appliance.journal.Journal`."""

    def record_field(
        self,
        run_id: str,
        record: FieldRecord,
        findings: Sequence[Finding] = (),
        pictures: Mapping[int, bytes] | None = None,
        keep_top: int = 0,
        *,
        field_picture: bytes | None = None,
    ) -> None:
        """One transaction; raises JournalError."""


class Reader:
    """Scores and records captures in a thread of its own.

    done: called in that thread after each recorded field; so is suffices, which says whether those recorded by now are
    enough for a verdict. What goes wrong there comes out of `put` and `finish`.
    """

    def __init__(
        self,
        run: SlideRun,
        scorer: Scorer,
        sink: FieldSink,
        rules: ReadingRules,
        *,
        queue_length: int,
        done: Callable[[FieldDone], None],
        suffices: Callable[[FieldRecord], bool] = lambda _: False,
    ) -> None:
        self._run = run
        self._scorer = scorer
        self._sink = sink
        self._rules = rules
        self._done = done
        self._suffices = suffices
        self._enough = False
        self._queue: queue.Queue[Capture | None] = queue.Queue(maxsize=queue_length)
        self._failure: Exception | None = None
        self._best: list[float] = []
        self._thread = threading.Thread(target=self._work, name="reader", daemon=True)
        self._thread.start()

    @property
    def enough(self) -> bool:
        """Whether nothing more need be handed over; what has been is recorded all the same."""
        return self._enough

    def put(self, capture: Capture | None) -> None:
        """Hand over a capture; blocks while the queue is full, which holds the stage."""
        while True:
            if self._failure is not None:
                raise self._failure
            try:
                self._queue.put(capture, timeout=_LOOK_S)
            except queue.Full:
                continue
            return

    def finish(self) -> None:
        """Wait until everything handed over is recorded. Raises what the thread met."""
        self.put(None)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """End the thread after what it has been handed; never raises, safe to call twice and after an error."""
        while self._thread.is_alive():
            try:
                self._queue.put(None, timeout=_LOOK_S)
            except queue.Full:
                continue
            self._thread.join()

    def _work(self) -> None:
        while (capture := self._queue.get()) is not None:
            try:
                done = self._read(capture)
                self._done(done)
                self._enough = self._suffices(done.record)
            except Exception as error:  # noqa: BLE001 - whatever it is must stop the scan, in the scanner's thread
                self._failure = error
                return

    def _read(self, capture: Capture) -> FieldDone:
        start = time.perf_counter()
        read, pictures, field_picture = self._interpreted(capture)
        record = FieldRecord(
            index=capture.planned.index,
            x_um=capture.planned.x_um,
            y_um=capture.planned.y_um,
            outcome=read.outcome if read else capture.outcome,
            reason=read.reason if read else capture.reason,
            focus=capture.focus,
            quality=read.quality if read else None,
            counts=read.counts if read else {},
            seconds={**capture.seconds, "score": time.perf_counter() - start},
            recorded_at=datetime.now(timezone.utc),
        )
        findings = read.findings if read else ()
        self._sink.record_field(
            self._run.run_id, record, findings, pictures, self._rules.keep_top, field_picture=field_picture
        )
        return FieldDone(record, findings, capture.frame.frame_id if capture.frame else None, capture.meter)

    def _interpreted(self, capture: Capture) -> tuple[Interpretation | None, dict[int, bytes], bytes | None]:
        if capture.frame is None:
            return None, {}, None
        rgb = to_rgb(capture.frame)
        read = interpret(
            rgb,
            capture.planned,
            capture.focus.z_um,
            capture.outcome,
            capture.reason,
            run=self._run,
            scorer=self._scorer,
            rules=self._rules,
        )
        return read, self._pictures(rgb, read.findings), encode_jpeg(rgb) if self._rules.keep_fields else None

    def _pictures(self, rgb: NDArray[np.uint8], findings: Sequence[Finding]) -> dict[int, bytes]:
        """Pictures of the findings that may still be among the slide's best; the journal evicts the others."""
        pictures: dict[int, bytes] = {}
        for position, finding in enumerate(findings[: self._rules.keep_top]):
            if len(self._best) >= self._rules.keep_top and finding.probability <= self._best[0]:
                break
            pictures[position] = crop_jpeg(rgb, finding, self._run.um_per_px)
            self._best = sorted([*self._best, finding.probability])[-self._rules.keep_top :]
        return pictures
