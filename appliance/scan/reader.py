"""From captures to recorded fields, in three threads: colour and quality; the network; findings, pictures, journal.

While the network works on one field, the next is prepared and the last is recorded. The queues between are bounded:
when the network or the disk is slow, the stage waits; nothing is dropped, and fields are recorded in their order.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.records import FieldRecord, Outcome, SlideRun
from appliance.scan.captures import Capture
from appliance.scan.events import FieldDone, SecondPlaneDone
from appliance.scan.interpret import Judged, ReadingRules, begin_scoring, judge_picture
from appliance.scan.recorder import FieldSink, Read, Recorder
from appliance.scan.second_plane import Again, SecondCapture, SecondPlanes
from appliance.scan.worker import Worker
from drivers.camera.colour import to_rgb
from engines.scorer import Detections, Scorer, nothing

_BETWEEN = 1
"""Fields between two threads: one in each thread and one between keep three slots of a GPU busy."""
IN_HAND = 3 + 2 * _BETWEEN
"""Fields that a reader may hold behind its queue."""


@dataclass(frozen=True)
class Prepared:
    """A capture, and its picture with what was made of it. seconds: that it took."""

    capture: Capture | SecondCapture
    picture: tuple[NDArray[np.uint8], Judged] | None
    seconds: float


@dataclass(frozen=True)
class _Begun:
    """A field that the network has. detections: waits for them. seconds: spent on it so far, waits left out."""

    prepared: Prepared
    detections: Detections
    seconds: float


class Reader:
    """Scores and records captures in threads of its own.

    done: called after each recorded field, in the thread that recorded it; so is suffices, which says whether those
    recorded by now are enough for a verdict. planes: decides, with the recorder, which fields are exposed again;
    without it none are. done_again: called like done, after a second plane. An error in any of the threads is raised by
    `put`, `catch_up` and `finish`.
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
        self._scorer = scorer
        self._um_per_px = run.um_per_px
        self._done = done
        self._suffices = suffices
        self._planes = planes
        self._done_again = done_again
        self._enough = False
        self._recorder = Recorder(run, sink, rules, planes)
        self._recording = Worker[_Begun]("reader-record", self._record, _BETWEEN)
        self._scoring = Worker[Prepared]("reader-score", self._score, _BETWEEN)
        self._preparing = Worker[Capture | SecondCapture]("reader-prepare", self._prepare, queue_length)
        self._workers = (self._preparing, self._scoring, self._recording)

    @property
    def enough(self) -> bool:
        """Whether nothing more need be handed over; what has been is recorded all the same."""
        return self._enough

    def due(self) -> list[Again]:
        """Fields to be exposed again that have been found since the last call."""
        return [] if self._planes is None else self._planes.due()

    def put(self, capture: Capture | SecondCapture) -> None:
        """Hand over a capture; blocks while the queue is full, which holds the stage. Raises what the threads met."""
        for worker in self._workers:  # the next capture need not carry a failure of the last back to the first
            worker.raise_failure()
        self._preparing.put(capture)

    def catch_up(self) -> None:
        """Wait until everything handed over so far is recorded. Raises what the threads met."""
        for worker in self._workers:
            worker.catch_up()

    def finish(self) -> None:
        """The same, and end the threads; nothing can be handed over any more."""
        for worker in self._workers:
            worker.finish()

    def close(self) -> None:
        """End the threads after what they have been handed; never raises, safe to call twice and after an error."""
        for worker in self._workers:
            worker.close()

    def _prepare(self, capture: Capture | SecondCapture) -> None:
        start = time.perf_counter()
        picture = None
        if capture.frame is not None:
            rgb = to_rgb(capture.frame)
            focused = (capture.outcome, capture.reason) if isinstance(capture, Capture) else (Outcome.USABLE, "")
            picture = rgb, judge_picture(rgb, *focused)
        self._scoring.put(Prepared(capture, picture, time.perf_counter() - start))

    def _score(self, prepared: Prepared) -> None:
        start = time.perf_counter()
        detections = nothing
        if prepared.picture is not None:
            rgb, judged = prepared.picture
            detections = begin_scoring(judged, rgb, self._scorer, self._um_per_px)
        self._recording.put(_Begun(prepared, detections, prepared.seconds + time.perf_counter() - start))

    def _record(self, begun: _Begun) -> None:
        start = time.perf_counter()
        capture, picture, found = begun.prepared.capture, begun.prepared.picture, begun.detections()
        read = None if picture is None else Read(*picture, found)
        seconds = begun.seconds + time.perf_counter() - start
        if isinstance(capture, SecondCapture):
            self._done_again(self._recorder.record_again(capture, read, seconds))
            return
        done = self._recorder.record(capture, read, seconds)
        self._done(done)
        self._enough = self._suffices(done.record)
