"""The reader records everything it is handed, holds the stage when it is slow, and never hides an error."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.errors import JournalError
from appliance.records import FieldRecord, Finding, FocusResult, Outcome, SlideRun
from appliance.scan.captures import Capture
from appliance.scan.events import FieldDone
from appliance.scan.interpret import ReadingRules
from appliance.scan.plan import PlannedField
from appliance.scan.reader import IN_HAND, Reader
from appliance.scan.rig import Meter
from drivers.camera.frame import CameraSettings, Frame, FrameStatus, PixelFormat
from engines.cuda.slots import LEAST
from engines.errors import EngineError
from engines.scorer import BackendInfo, Detection, Detections, Scorer

RULES = ReadingRules(targets=("afb",), count_from=0.5, keep_from=0.2, keep_top=3)


class FixedScorer(Scorer):
    """Finds what it was told, whatever the picture."""

    backend = BackendInfo("test", "fixed 1", "0" * 64, "none")

    def __init__(self, *detections: Detection) -> None:
        self._detections = list(detections)

    def begin(self, image: NDArray[np.uint8], um_per_px: float) -> Detections:
        return lambda: self._detections

    def close(self) -> None:
        return


class Sink:
    """Keeps records; waits for a gate before each when it has one; fails at a given field."""

    def __init__(self, gate: threading.Semaphore | None = None, fails_at: int = -1) -> None:
        self.records: list[tuple[FieldRecord, tuple[Finding, ...], dict[int, bytes]]] = []
        self.failed = threading.Event()
        self._gate = gate
        self._fails_at = fails_at

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
        if self._gate is not None:
            assert self._gate.acquire(timeout=30)
        if record.index == self._fails_at:
            self.failed.set()
            raise JournalError("The disk is full.", remedy="Free space.")
        self.records.append((record, tuple(findings), dict(pictures or {})))


def capture(index: int, outcome: Outcome = Outcome.USABLE) -> Capture:
    """A stained field of 256 x 192 pixels."""
    rng = np.random.default_rng(index)
    pixels = rng.integers(60, 220, (192, 256, 3), dtype=np.uint8)
    frame = Frame(index + 1, pixels, PixelFormat.RGB8, 1, 2, CameraSettings(5.0), FrameStatus.OK)
    kept = frame if outcome is not Outcome.FAILED else None
    focus = FocusResult(3000.0, 0.2, 0.9, "bracketed", 3)
    reason = "" if outcome is Outcome.USABLE else "said so"
    return Capture(PlannedField(index, 1000.0 * index, 50.0), outcome, reason, focus, kept, Meter(), {"move": 0.1})


def run() -> SlideRun:
    return SlideRun(
        "r", "A", "1", 1, "afb", 900, 0.75, 0.1465, 256 * 0.1465, 192 * 0.1465, 9, "", "", "", "", "", "", "",
        datetime.now(timezone.utc),
    )  # fmt: skip


def reader(sink: Sink, *detections: Detection, queue_length: int = 2, done: list[FieldDone] | None = None) -> Reader:
    told: list[FieldDone] = [] if done is None else done
    return Reader(run(), FixedScorer(*detections), sink, RULES, queue_length=queue_length, done=told.append)


def test_everything_handed_over_is_recorded_in_order() -> None:
    sink, done = Sink(), []
    worker = reader(sink, Detection("afb", 0.9, 127.5, 95.5, 20, 8), queue_length=2, done=done)
    for index in range(9):
        worker.put(capture(index))
    worker.finish()
    assert [record.index for record, _, _ in sink.records] == list(range(9))
    assert [d.frame_id for d in done] == list(range(1, 10))


def test_a_detection_in_the_middle_lies_at_the_field_centre_and_weak_ones_are_not_counted() -> None:
    sink = Sink()
    worker = reader(
        sink,
        Detection("afb", 0.9, 127.5, 95.5, 20, 8),
        Detection("afb", 0.3, 10.0, 10.0, 20, 8),
        Detection("afb", 0.1, 30.0, 10.0, 20, 8),
        Detection("debris", 0.99, 60.0, 60.0, 9, 9),
    )
    worker.put(capture(4))
    worker.finish()
    record, findings, pictures = sink.records[0]
    assert record.counts == {"afb": 1, "debris": 1}
    assert [f.probability for f in findings] == [0.9, 0.3]
    assert (findings[0].x_um, findings[0].y_um) == pytest.approx((4000.0, 50.0))
    assert findings[1].x_um == pytest.approx(4000.0 + (10.0 - 127.5) * 0.1465)
    assert all(picture.startswith(b"\xff\xd8") for picture in pictures.values())


def test_pictures_are_made_only_for_findings_that_can_be_among_the_best() -> None:
    sink = Sink()
    worker = reader(sink, Detection("afb", 0.9, 100, 90, 20, 8))
    for index in range(9):
        worker.put(capture(index))
    worker.finish()
    assert sum(len(pictures) for _, _, pictures in sink.records) == RULES.keep_top


def test_a_slow_sink_holds_the_producer_and_nothing_is_dropped() -> None:
    gate = threading.Semaphore(0)
    sink = Sink(gate)
    worker = reader(sink, queue_length=2)
    handed: list[int] = []

    def produce() -> None:
        for index in range(12):
            worker.put(capture(index))
            handed.append(index)

    producer = threading.Thread(target=produce)
    producer.start()
    producer.join(timeout=1.5)
    assert producer.is_alive(), "the producer was not held"
    assert len(handed) <= 2 + IN_HAND, "more than the queue and those in hand were taken"
    for _ in range(12):
        gate.release()
    producer.join(timeout=30)
    worker.finish()
    assert [record.index for record, _, _ in sink.records] == list(range(12))


class Gpu(Scorer):
    """Answers one field each time it is let; remembers how many were under way at once."""

    backend = FixedScorer.backend

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.answers = threading.Semaphore(0)
        self.under_way = self.most = 0
        self._lock = threading.Lock()

    def begin(self, image: NDArray[np.uint8], um_per_px: float) -> Detections:
        with self._lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        self.begun.release()
        return self._answer

    def _answer(self) -> list[Detection]:
        assert self.answers.acquire(timeout=30)
        with self._lock:
            self.under_way -= 1
        return []

    def close(self) -> None:
        return


def test_a_gpu_has_its_three_slots_full_before_the_first_answer_and_never_more() -> None:
    gpu, sink = Gpu(), Sink()
    worker = Reader(run(), gpu, sink, RULES, queue_length=4, done=lambda _: None)
    for index in range(LEAST):
        worker.put(capture(index))
    for _ in range(LEAST):
        assert gpu.begun.acquire(timeout=30)
    assert sink.records == []
    for _ in range(20):
        gpu.answers.release()
    for index in range(LEAST, 20):
        worker.put(capture(index))
    worker.finish()
    assert gpu.most == LEAST
    assert [record.index for record, _, _ in sink.records] == list(range(20))


def test_an_error_while_recording_comes_out_and_stops_the_reader() -> None:
    sink = Sink(fails_at=1)
    worker = reader(sink)

    def hand_over() -> None:
        for index in range(20):
            worker.put(capture(index))
        worker.finish()

    with pytest.raises(JournalError, match="disk is full"):
        hand_over()
    worker.close()
    assert [record.index for record, _, _ in sink.records] == [0]


def test_a_gpu_that_fails_while_it_is_waited_for_stops_the_reader() -> None:
    class Lost(FixedScorer):
        def begin(self, image: NDArray[np.uint8], um_per_px: float) -> Detections:
            def lost() -> list[Detection]:
                raise EngineError("The GPU fell off the bus.", remedy="Restart the device.")

            return lost

    sink = Sink()
    worker = Reader(run(), Lost(), sink, RULES, queue_length=2, done=lambda _: None)
    worker.put(capture(0))
    with pytest.raises(EngineError, match="off the bus"):
        worker.finish()
    worker.close()
    assert sink.records == []


def test_once_told_to_be_enough_it_says_so_and_still_records_what_it_was_handed() -> None:
    gate, sink, asked = threading.Semaphore(0), Sink(), threading.Event()

    def suffices(record: FieldRecord) -> bool:
        asked.set()
        assert gate.acquire(timeout=30)
        return record.index >= 1

    worker = Reader(run(), FixedScorer(), sink, RULES, queue_length=4, done=lambda _: None, suffices=suffices)
    for index in range(4):
        worker.put(capture(index))
    assert asked.wait(timeout=30)
    assert not worker.enough
    for _ in range(4):
        gate.release()
    worker.finish()
    assert worker.enough
    assert [record.index for record, _, _ in sink.records] == [0, 1, 2, 3]


def test_a_reader_that_nobody_asks_has_never_enough() -> None:
    worker = reader(Sink())
    worker.put(capture(0))
    worker.finish()
    assert not worker.enough


def test_fields_that_are_blank_or_failed_are_recorded_unscored() -> None:
    sink = Sink()
    worker = reader(sink, Detection("afb", 0.9, 100, 90, 20, 8))
    worker.put(capture(0, Outcome.BLANK))
    worker.put(capture(1, Outcome.FAILED))
    worker.finish()
    outcomes = [(record.outcome, record.counts, record.quality is None) for record, _, _ in sink.records]
    assert outcomes == [(Outcome.BLANK, {}, False), (Outcome.FAILED, {}, True)]
