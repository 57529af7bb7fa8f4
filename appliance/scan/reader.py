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

from appliance.records import FieldRecord, Finding, FocusResult, ImageQuality, Outcome, SlideRun
from appliance.scan.crop import crop_jpeg, encode_jpeg
from appliance.scan.plan import PlannedField
from appliance.scan.quality import classify, measure_quality
from appliance.scan.rig import Meter
from drivers.camera.colour import to_rgb
from drivers.camera.frame import Frame
from engines.scorer import Detection, Scorer


@dataclass(frozen=True)
class Capture:
    """A field as it left the microscope: position, focus, and the kept frame (None when there is none)."""

    planned: PlannedField
    outcome: Outcome
    reason: str
    focus: FocusResult
    frame: Frame | None
    meter: Meter
    seconds: dict[str, float]


@dataclass(frozen=True)
class FieldDone:
    """A recorded field, for progress and benches. frame_id: of the kept frame."""

    record: FieldRecord
    findings: tuple[Finding, ...]
    frame_id: int | None
    meter: Meter


@dataclass(frozen=True)
class ReadingRules:
    """What of a score is kept.

    targets: labels that are findings; others are only counted. count_from: probability from which a detection
    counts. keep_from: from which a target is kept for review. keep_top: findings whose pictures are kept.
    """

    targets: tuple[str, ...]
    count_from: float
    keep_from: float
    keep_top: int
    keep_fields: bool


class FieldSink(Protocol):
    """Where recorded fields go: `appliance.journal.Journal`."""

    def record_field(
        self,
        run_id: str,
        record: FieldRecord,
        findings: Sequence[Finding],
        pictures: Mapping[int, bytes],
        keep_top: int,
        field_picture: bytes | None = None,
    ) -> None:
        """One transaction; raises JournalError."""


class Reader:
    """Score and record captures in their own thread.

    done: called in that thread after each recorded field. Errors of the thread come out of `put` and `finish`.
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
    ) -> None:
        self._run = run
        self._scorer = scorer
        self._sink = sink
        self._rules = rules
        self._done = done
        self._queue: queue.Queue[Capture | None] = queue.Queue(maxsize=queue_length)
        self._failure: Exception | None = None
        self._best: list[float] = []
        self._thread = threading.Thread(target=self._work, name="reader", daemon=True)
        self._thread.start()

    def put(self, capture: Capture) -> None:
        """Hand over a capture; blocks while the queue is full, which holds the stage."""
        while True:
            self._raise_failure()
            try:
                self._queue.put(capture, timeout=0.5)
            except queue.Full:
                continue
            return

    def finish(self) -> None:
        """Wait until everything handed over is recorded."""
        while self._thread.is_alive():
            try:
                self._queue.put(None, timeout=0.5)
            except queue.Full:
                continue
            break
        self._thread.join()
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        while (capture := self._queue.get()) is not None:
            try:
                self._done(self._read(capture))
            except Exception as error:  # noqa: BLE001 - whatever it is must stop the scan, in the scanner's thread
                self._failure = error
                return

    def _read(self, capture: Capture) -> FieldDone:
        start = time.perf_counter()
        outcome, reason = capture.outcome, capture.reason
        quality: ImageQuality | None = None
        findings: list[Finding] = []
        pictures: dict[int, bytes] = {}
        counts: dict[str, int] = {}
        field_picture: bytes | None = None
        if capture.frame is not None:
            rgb = to_rgb(capture.frame)
            quality = measure_quality(rgb)
            if outcome is Outcome.USABLE:
                outcome, reason = classify(quality)
            if outcome is Outcome.USABLE:
                detections = self._scorer.score(rgb, self._run.um_per_px)
                counts = self._count(detections)
                findings = self._findings(detections, capture)
                pictures = self._pictures(rgb, findings)
            if self._rules.keep_fields:
                field_picture = encode_jpeg(rgb)
        seconds = {**capture.seconds, "score": time.perf_counter() - start}
        record = FieldRecord(
            capture.planned.index,
            capture.planned.x_um,
            capture.planned.y_um,
            outcome,
            reason,
            capture.focus,
            quality,
            counts,
            seconds,
            datetime.now(timezone.utc),
        )
        self._sink.record_field(
            self._run.run_id, record, findings, pictures, self._rules.keep_top, field_picture=field_picture
        )
        return FieldDone(record, tuple(findings), capture.frame.frame_id if capture.frame else None, capture.meter)

    def _count(self, detections: Sequence[Detection]) -> dict[str, int]:
        counts: dict[str, int] = {}
        for detection in detections:
            if detection.probability >= self._rules.count_from:
                counts[detection.label] = counts.get(detection.label, 0) + 1
        return counts

    def _findings(self, detections: Sequence[Detection], capture: Capture) -> list[Finding]:
        kept = [d for d in detections if d.label in self._rules.targets and d.probability >= self._rules.keep_from]
        return [self._place(d, capture) for d in sorted(kept, key=lambda d: d.probability, reverse=True)]

    def _place(self, detection: Detection, capture: Capture) -> Finding:
        """Pixels to stage micrometres: the frame's centre looks at the field's centre."""
        scale = self._run.um_per_px
        centre_x = (self._run.field_width_um / scale - 1) / 2
        centre_y = (self._run.field_height_um / scale - 1) / 2
        return Finding(
            field_index=capture.planned.index,
            label=detection.label,
            probability=detection.probability,
            x_um=capture.planned.x_um + (detection.x_px - centre_x) * scale,
            y_um=capture.planned.y_um + (detection.y_px - centre_y) * scale,
            z_um=capture.focus.z_um,
            x_px=detection.x_px,
            y_px=detection.y_px,
            width_px=detection.width_px,
            height_px=detection.height_px,
        )

    def _pictures(self, rgb: NDArray[np.uint8], findings: Sequence[Finding]) -> dict[int, bytes]:
        """Pictures of the findings that may still be among the slide's best; the journal evicts the others."""
        pictures: dict[int, bytes] = {}
        for position, finding in enumerate(findings[: self._rules.keep_top]):
            if len(self._best) >= self._rules.keep_top and finding.probability <= self._best[0]:
                break
            pictures[position] = crop_jpeg(rgb, finding, self._run.um_per_px)
            self._best = sorted([*self._best, finding.probability])[-self._rules.keep_top :]
        return pictures
