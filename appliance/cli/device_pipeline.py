"""Golden fields through the real reader into a real journal, timed: for the acceptance of a device."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count, pairwise

import numpy as np
from numpy.typing import NDArray

from appliance.assays import load_assay
from appliance.cli.bench_reading import Job, run_of
from appliance.device_report.speed import StageTimes
from appliance.errors import ApplianceError
from appliance.journal import Journal, SecondSeen
from appliance.records import FieldRecord, Finding, FocusResult, Outcome, SlideRun
from appliance.scan.captures import Capture
from appliance.scan.interpret import ReadingRules
from appliance.scan.plan import Plan, PlannedField, Region, make_plan
from appliance.scan.reader import Reader
from appliance.scan.rig import Meter
from appliance.settings import Settings
from drivers.camera.frame import CameraSettings, Frame, FrameStatus, PixelFormat
from engines.acceptance.golden import Golden
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import EnginePackage
from engines.scorer import Detection, Detections

_SEED = 0
_FOCUS = FocusResult(0.0, 0.0, 1.0, "acceptance", 1)


class _TimedScorer(OnnxCpuScorer):
    """Another scorer's answers, and when the last one was asked for, had its probabilities, and was given."""

    def __init__(self, package: EnginePackage, inner: OnnxCpuScorer) -> None:
        self._package = package
        self._backend = inner.backend
        self._inner = inner
        self.asked_s = self.answered_s = self.given_s = 0.0

    def start(self, image: NDArray[np.uint8]) -> Callable[[], NDArray[np.float32]]:
        """The other's, timed."""
        self.asked_s = time.perf_counter()
        maps = self._inner.start(image)

        def answered() -> NDArray[np.float32]:
            answer = maps()
            self.answered_s = time.perf_counter()
            return answer

        return answered

    def begin(self, image: NDArray[np.uint8], um_per_px: float) -> Detections:
        """What all scorers of packages make of them, timed."""
        detections = super().begin(image, um_per_px)

        def given() -> list[Detection]:
            found = detections()
            self.given_s = time.perf_counter()
            return found

        return given

    def close(self) -> None:
        """Whoever opened the other closes it."""


@dataclass
class _TimedSink:
    """The journal, and the stages of each field that came to it. Raises ApplianceError for one that was not scored.

    begun_s: when the last one was handed over. Times are of use for fields that are read one after another.
    """

    journal: Journal
    scorer: _TimedScorer
    begun_s: float = 0.0
    stages: list[StageTimes] = field(default_factory=list)

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
        """The journal's, timed."""
        if record.outcome is not Outcome.USABLE:
            raise ApplianceError(
                f"A picture was not scored but {record.outcome.value} ({record.reason}).",
                remedy="Give --frame the camera's size; smaller pictures may show too little.",
            )
        self.journal.record_field(run_id, record, findings, pictures, keep_top, field_picture=field_picture)
        one = self.scorer
        self.stages.append(
            StageTimes(
                prepare=one.asked_s - self.begun_s,
                network=one.answered_s - one.asked_s,
                decode=one.given_s - one.answered_s,
                record=time.perf_counter() - one.given_s,
            )
        )

    def record_second_plane(self, run_id: str, record: FieldRecord, seen: SecondSeen, keep_top: int = 0) -> None:
        """The journal's."""
        self.journal.record_second_plane(run_id, record, seen, keep_top)


@dataclass(frozen=True)
class Pipeline:
    """One engine, the pictures in turn, one journal.

    settings: those in force; of their scan the queue and what is kept. beat: called after each field.
    """

    package: EnginePackage
    scorer: OnnxCpuScorer
    golden: Golden
    settings: Settings
    journal: Journal
    beat: Callable[[], None]
    _slides: Iterator[int] = field(default_factory=lambda: count(1))

    def engine_only(self, fields: int) -> list[float]:
        """Seconds a field of the network alone on pictures in memory, the next begun while it works on one.

        One value for each turn of the golden fields, which differ; at least so many fields.
        """
        done_s: list[float] = []
        under_way: Callable[[], object] | None = None
        for number in range(self._whole_turns(fields) + 2):  # one fills the pipeline, one goes untimed as it runs empty
            picture = self.golden.fields[number % len(self.golden.fields)].picture
            begun = self.scorer.start(picture)
            if under_way is not None:
                under_way()
                done_s.append(time.perf_counter())
                self.beat()
            under_way = begun
        if under_way is not None:
            under_way()
        return self._per_field(done_s)

    def end_to_end(self, fields: int) -> list[float]:
        """Seconds a field, by turns as `engine_only`, from frame to journal, frames handed over as fast as taken."""
        done_s: list[float] = []
        with self._reader(self._scorer_and_sink(), lambda: done_s.append(time.perf_counter())) as (reader, captures):
            for _ in range(self._whole_turns(fields) + 1):  # the first fills the pipeline
                reader.put(next(captures))
            reader.finish()
        return self._per_field(done_s)

    def alone(self, fields: int) -> list[StageTimes]:
        """The stages of each field, handed over when the one before is recorded."""
        sink = self._scorer_and_sink()
        with self._reader(sink, lambda: None) as (reader, captures):
            for _ in range(fields):
                capture = next(captures)
                sink.begun_s = time.perf_counter()
                reader.put(capture)
                reader.catch_up()
            reader.finish()
        return sink.stages

    def run(self, going_on: Callable[[], bool], done: Callable[[], None]) -> None:
        """Fields as fast as they are taken; asks before each whether to go on."""
        with self._reader(self._scorer_and_sink(), done) as (reader, captures):
            while going_on():
                reader.put(next(captures))
            reader.finish()

    def _whole_turns(self, fields: int) -> int:
        turn = len(self.golden.fields)
        return -(-fields // turn) * turn

    def _per_field(self, done_s: Sequence[float]) -> list[float]:
        turn = len(self.golden.fields)
        return [(after - before) / turn for before, after in pairwise(done_s[::turn])]

    def _scorer_and_sink(self) -> _TimedSink:
        return _TimedSink(self.journal, _TimedScorer(self.package, self.scorer))

    @contextmanager
    def _reader(self, sink: _TimedSink, done: Callable[[], None]) -> Iterator[tuple[Reader, Iterator[Capture]]]:
        """A reader of one more slide, and its captures without end. Raises what the reader meets."""
        run, plan = self._begun()

        def field_done(_: object) -> None:
            self.beat()
            done()

        scan, point = self.settings.scan, self.package.operating_point
        rules = ReadingRules(
            load_assay(self.package.manifest.assay).labels.targets,
            point.threshold,
            self.package.manifest.report_threshold,
            scan.keep_top,
            scan.keep_fields,
        )
        reader = Reader(run, sink.scorer, sink, rules, queue_length=scan.queue_length, done=field_done)
        try:
            yield reader, self._captures(plan.fields[0])
        finally:
            reader.close()

    def _begun(self) -> tuple[SlideRun, Plan]:
        """A slide of its own, so that it has its own best findings, whose pictures are kept."""
        number, first = next(self._slides), self.golden.fields[0]
        scale = first.um_per_px
        height_um, width_um = (side * scale for side in first.picture.shape[:2])
        assay, optics = load_assay(self.package.manifest.assay), self.settings.optics
        plan = make_plan(assay.name, Region(0.0, 0.0, width_um, height_um), width_um, height_um, fields=1)
        job = Job(assay, self.settings, 1, _SEED, None, None, optics.magnification)
        run = run_of(job, optics.model_copy(update={"um_per_px": scale}), plan, self.scorer.backend)
        run = replace(run, run_id=f"acceptance-{number}", accession="ACCEPTANCE", run=number, operator="acceptance")
        self.journal.begin(run, plan.to_json())
        return run, plan

    def _captures(self, place: PlannedField) -> Iterator[Capture]:
        """All at one place: only their number counts."""
        frames = [bayer_of(one.picture) for one in self.golden.fields]
        settings = CameraSettings(self.settings.camera.exposure_ms)
        for number in count():
            pixels, now_ns = frames[number % len(frames)], time.monotonic_ns()
            frame = Frame(number, pixels, PixelFormat.BAYER_RG8, now_ns, now_ns, settings, FrameStatus.OK)
            planned = replace(place, index=number)
            yield Capture(planned, Outcome.USABLE, "", _FOCUS, frame, Meter(), {})


def bayer_of(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The RGGB frame (H, W) of which `drivers.camera.colour.demosaic` made this picture (H, W, 3), but for its rim."""
    bayer: NDArray[np.uint8] = rgb[:, :, 1].copy()
    bayer[0::2, 0::2] = rgb[0::2, 0::2, 0]
    bayer[1::2, 1::2] = rgb[1::2, 1::2, 2]
    return bayer
