"""The reader thread: frames in, recorded fields out. It owns the scorer and writes the journal.

The queue in front of it is bounded: when scoring or the disk is slow, the stage waits; nothing is dropped.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.journal import SecondSeen
from appliance.records import FieldRecord, Finding, FocusResult, Outcome, SecondPlane, SlideRun
from appliance.scan.best import BestSoFar
from appliance.scan.crop import crop_jpeg, encode_jpeg
from appliance.scan.events import FieldDone, SecondPlaneDone
from appliance.scan.interpret import Interpretation, ReadingRules, interpret
from appliance.scan.plan import PlannedField
from appliance.scan.planes import TwoPlanes, read_together
from appliance.scan.rig import Meter
from appliance.scan.second_plane import Again, SecondCapture, SecondPlanes
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

    def record_second_plane(self, run_id: str, record: FieldRecord, seen: SecondSeen, keep_top: int = 0) -> None:
        """One transaction; raises JournalError."""


class Reader:
    """Scores and records captures in a thread of its own.

    done: called in that thread after each recorded field; so is suffices, which says whether those recorded by now are
    enough for a verdict. planes: decides, with the reader, which fields are exposed again; without it none are.
    done_again: called like done, after a second plane. What goes wrong there comes out of `put` and `finish`.
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
        planes: SecondPlanes | None = None,
        done_again: Callable[[SecondPlaneDone], None] = lambda _: None,
    ) -> None:
        self._run = run
        self._scorer = scorer
        self._sink = sink
        self._rules = rules
        self._done = done
        self._suffices = suffices
        self._planes = planes
        self._done_again = done_again
        self._enough = False
        self._queue: queue.Queue[Capture | SecondCapture | threading.Event | None] = queue.Queue(maxsize=queue_length)
        self._failure: Exception | None = None
        self._best = BestSoFar(rules.keep_top)
        self._thread = threading.Thread(target=self._work, name="reader", daemon=True)
        self._thread.start()

    @property
    def enough(self) -> bool:
        """Whether nothing more need be handed over; what has been is recorded all the same."""
        return self._enough

    def due(self) -> list[Again]:
        """Fields to be exposed again that have been found since the last call."""
        return [] if self._planes is None else self._planes.due()

    def catch_up(self) -> None:
        """Wait until everything handed over so far is recorded. Raises what the thread met."""
        reached = threading.Event()
        self.put(reached)
        while not reached.wait(_LOOK_S):
            if self._failure is not None:
                raise self._failure

    def put(self, capture: Capture | SecondCapture | threading.Event | None) -> None:
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
                self._deal_with(capture)
            except Exception as error:  # noqa: BLE001 - whatever it is must stop the scan, in the scanner's thread
                self._failure = error
                return

    def _deal_with(self, capture: Capture | SecondCapture | threading.Event) -> None:
        if isinstance(capture, threading.Event):
            capture.set()
        elif isinstance(capture, SecondCapture):
            self._done_again(self._read_again(capture))
        else:
            done = self._read(capture)
            self._done(done)
            self._enough = self._suffices(done.record)

    def _read(self, capture: Capture) -> FieldDone:
        start = time.perf_counter()
        rgb = None if capture.frame is None else to_rgb(capture.frame)
        read = None
        if rgb is not None:
            read = self._interpreted(rgb, capture.planned, capture.focus.z_um, capture.outcome, capture.reason)
        findings = read.findings if read else ()
        pictures = {} if rgb is None else self._pictures(rgb, findings)
        field_picture = encode_jpeg(rgb) if rgb is not None and self._rules.keep_fields else None
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
        self._sink.record_field(
            self._run.run_id, record, findings, pictures, self._rules.keep_top, field_picture=field_picture
        )
        if self._planes is not None and capture.frame is not None and rgb is not None and read is not None:
            self._planes.consider(rgb, capture.planned, capture.frame, read, record, self._run.um_per_px)
        return FieldDone(record, findings, capture.frame.frame_id if capture.frame else None, capture.meter)

    def _interpreted(
        self, rgb: NDArray[np.uint8], planned: PlannedField, z_um: float, outcome: Outcome, reason: str
    ) -> Interpretation:
        return interpret(rgb, planned, z_um, outcome, reason, run=self._run, scorer=self._scorer, rules=self._rules)

    def _pictures(self, rgb: NDArray[np.uint8], findings: Sequence[Finding]) -> dict[int, bytes]:
        """Pictures of the findings that may still be among the slide's best; the journal evicts the others."""
        return {
            position: crop_jpeg(rgb, finding, self._run.um_per_px)
            for position, finding in enumerate(findings)
            if self._best.takes(finding.probability)
        }

    def _read_again(self, capture: SecondCapture) -> SecondPlaneDone:
        start = time.perf_counter()
        again, first = capture.again, capture.again.record
        seen, counts, reason = SecondSeen(), first.counts, capture.reason
        if capture.frame is not None and self._planes is not None:
            rgb = to_rgb(capture.frame)
            read = self._interpreted(rgb, again.planned, again.z_um, Outcome.USABLE, "")
            both = read_together(again.read, read, self._rules, self._planes.rule.same_within_um, self._run.um_per_px)
            pictures, others = self._pictures_of_both(again, rgb, both)
            seen = SecondSeen(read.findings, both.seen_better, pictures, others)
            counts, reason = both.counts, read.reason
        seconds = {**capture.meter.seconds, "score": time.perf_counter() - start}
        second = SecondPlane(again.z_um, reason, capture.meter.exposures, seconds)
        record = replace(first, counts=counts, second=second)
        self._sink.record_second_plane(self._run.run_id, record, seen, self._rules.keep_top)
        frame_id = capture.frame.frame_id if capture.frame else None
        return SecondPlaneDone(first, record, seen.findings, frame_id, capture.meter)

    def _pictures_of_both(
        self, again: Again, second: NDArray[np.uint8], both: TwoPlanes
    ) -> tuple[dict[int, bytes], dict[int, tuple[float, bytes]]]:
        """Of objects that the second plane shows, the place in either plane: in the finding's own, and in the other."""
        first, start = to_rgb(again.frame), len(again.read.findings)
        twice = {*both.seen_better, *both.seen_better.values()}
        for position in twice:
            if position < start:
                self._best.forget(both.findings[position].probability)
        pictures, others = {}, {}
        for position, finding in enumerate(both.findings):
            shown = (position >= start or position in twice) and position not in both.seen_better
            if not shown or not self._best.takes(finding.probability):
                continue
            own, other = (first, second) if position < start else (second, first)
            other_um = again.z_um if position < start else again.record.focus.z_um
            pictures[position] = crop_jpeg(own, finding, self._run.um_per_px)
            others[position] = (other_um, crop_jpeg(other, finding, self._run.um_per_px))
        return pictures, others
