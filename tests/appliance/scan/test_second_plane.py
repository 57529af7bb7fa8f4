"""Second planes: which fields get one, when they are taken, and that the first plane stands whatever happens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.assays.model import SecondPlaneRule
from appliance.errors import Stopped
from appliance.journal import Journal
from appliance.records import FieldRecord, Finding, FocusResult, ImageQuality, Outcome, SlideRun
from appliance.scan import scanner, second_plane
from appliance.scan.captures import Capture
from appliance.scan.events import ScanListener, SecondPlaneDone
from appliance.scan.interpret import Interpretation, ReadingRules
from appliance.scan.plan import Plan, PlannedField, Region, Shape
from appliance.scan.reader import Reader
from appliance.scan.rig import Rig
from appliance.scan.scanner import scan
from appliance.scan.second_plane import Again, SecondPlanes, expose_again, stands_above
from appliance.settings import FocusSection, load_settings
from drivers.camera.frame import CameraSettings, Frame, FrameStatus, PixelFormat
from drivers.errors import FrameTimeout
from drivers.stage import Position, standard_stage
from drivers.twin.mechanics import Mechanics
from drivers.twin.settings import load_settings as twin_settings
from drivers.twin.virtual import VirtualCamera, VirtualClock, VirtualStage
from engines.scorer import BackendInfo, Detection, Detections, Scorer

from .test_captures import FIELDS, SMALL

RULE = SecondPlaneRule(from_probability=0.3, min_size_um=20, above_um=9, same_within_um=8, max_share=0.5)
SIZE_UM = (448 * 0.293, 416 * 0.293)
QUALITY = ImageQuality((230.0, 230.0, 230.0), 0.0, 0.5, 0.1, 0.0, 5.0)
BALL = Detection("malignant", 0.4, 200.0, 200.0, 80.0, 80.0)


def run(planned: int = 8) -> SlideRun:
    return SlideRun(
        "r", "A", "1", 1, "serous", 450, 0.5, 0.293, *SIZE_UM, planned, "", "", "", "", "", "", "",
        datetime.now(timezone.utc),
    )  # fmt: skip


def field_record(index: int, z_um: float = 3000.0) -> FieldRecord:
    focus = FocusResult(z_um, 0.2, 0.9, "judged", 1)
    now = datetime.now(timezone.utc)
    return FieldRecord(index, 0.0, 0.0, Outcome.USABLE, "", focus, QUALITY, {}, {}, now)


def read_as(probability: float) -> Interpretation:
    finding = Finding(0, "malignant", probability, 0, 0, 3000, 100, 100, 80, 80)
    return Interpretation(Outcome.USABLE, "", QUALITY, {}, (finding,))


def stained(radius_px: int) -> NDArray[np.uint8]:
    rgb = np.full((208, 208, 3), 225, np.uint8)
    rows, cols = np.ogrid[:208, :208]
    rgb[np.hypot(rows - 100, cols - 100) <= radius_px] = 60
    return rgb


@pytest.mark.parametrize(("probability", "radius_px", "wanted"), [(0.4, 50, True), (0.2, 50, False), (0.9, 20, False)])
def test_a_ball_is_suspicious_and_large(probability: float, radius_px: int, wanted: bool) -> None:
    assert stands_above(stained(radius_px), read_as(probability), RULE, 0.293) is wanted


def test_a_field_without_findings_is_no_ball() -> None:
    empty = replace(read_as(0.9), findings=())
    assert not stands_above(stained(50), empty, RULE, 0.293)


def asked(planes: SecondPlanes, records: Sequence[FieldRecord]) -> list[Again]:
    frame = Frame(1, stained(50), PixelFormat.RGB8, 1, 2, CameraSettings(5.0), FrameStatus.OK)
    for record in records:
        planned = PlannedField(record.index, 0.0, 0.0)
        planes.consider(stained(50), planned, frame, read_as(0.9), record, 0.293)
    return planes.due()


def test_no_more_than_the_share_of_the_plan_and_those_of_an_earlier_start_count() -> None:
    records = [field_record(index) for index in range(8)]
    assert [again.planned.index for again in asked(SecondPlanes(RULE, FocusSection(), 8), records)] == [0, 1, 2, 3]
    assert [again.planned.index for again in asked(SecondPlanes(RULE, FocusSection(), 8, 3), records)] == [0]
    assert asked(SecondPlanes(RULE, FocusSection(), 8, 4), records) == []


def test_the_height_is_towards_the_objective_and_never_outside_the_bounds_of_focus() -> None:
    focus = FocusSection(min_z_um=2_990, reference_z_um=3_000)
    found = asked(SecondPlanes(RULE, focus, 8), [field_record(0, 2_998.0), field_record(1, 3_005.0)])
    assert [(again.planned.index, again.z_um) for again in found] == [(1, 2_996.0)]


class Scope(Rig):
    """The scan's rig over the twin's stage in simulated time, with a camera that sees nothing."""

    def __init__(self) -> None:
        settings, clock = twin_settings(None, SMALL), VirtualClock()
        self.stage = VirtualStage(standard_stage("virtual"), Mechanics(settings.mechanics, clock), clock)
        nothing = np.zeros((416, 448), np.uint8)
        camera = VirtualCamera(settings.camera, "blind", clock, lambda *_: nothing)
        super().__init__(self.stage, camera, CameraSettings(5.0), clock=clock)

    def position(self) -> Position:
        return self.stage.position()


class SeenAt(Scorer):
    """A scorer that sees one weak target in the first plane and two in the second, told apart by brightness.

    gate: what a field waits for before it is scored, by its number in order of scoring.
    """

    backend = BackendInfo("test", "fixed 1", "0" * 64, "none")

    def __init__(self, gates: dict[int, threading.Event] | None = None) -> None:
        self.scored = 0
        self.gates = gates or {}

    def begin(self, image: NDArray[np.uint8], um_per_px: float) -> Detections:
        gate = self.gates.get(self.scored)
        assert gate is None or gate.wait(30)
        self.scored += 1
        if image.mean() > 128:
            return lambda: [BALL, Detection("benign", 0.9, 400.0, 30.0, 50.0, 50.0)]
        return lambda: [replace(BALL, probability=0.8, x_px=205.0), replace(BALL, probability=0.7, x_px=300.0)]

    def close(self) -> None:
        return


class Fields:
    """Stands for the captures of fields: each is exposed once at 3000 µm and its index; after: when a row is over."""

    after: Callable[[], None]

    def __init__(self, rig: Rig, *_: object) -> None:
        self._rig = rig

    def of(self, fields: Sequence[PlannedField]) -> Iterator[Capture]:
        for field in fields:
            z_um = 3000.0 + field.index
            self._rig.go_to(field.x_um, field.y_um, z_um)
            frame = self._rig.expose_at(z_um)
            focus = FocusResult(z_um, 0.2, 0.9, "judged", 1)
            if field.index % 4 == 0:
                self.after()
            yield Capture(field, Outcome.USABLE, "", focus, painted(frame, 200), self._rig.meter.take(), {"move": 0.1})

    @contextmanager
    def interrupted(self) -> Iterator[None]:
        yield


def painted(frame: Frame, level: int) -> Frame:
    return replace(frame, pixels=np.full((416, 448, 3), level, np.uint8), pixel_format=PixelFormat.RGB8)


class Watch(ScanListener):
    def __init__(self) -> None:
        self.again: list[SecondPlaneDone] = []

    def second_plane_done(self, done: SecondPlaneDone) -> None:
        self.again.append(done)


class Slide:
    """A scan over the eight fields of two rows, with a real journal; exposed: field and height of each exposure."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.scope, self.watch, self.stop = Scope(), Watch(), threading.Event()
        self.exposed: list[tuple[int, float]] = []
        self.gates: dict[int, threading.Event] = {}
        self.catches_up = True
        self.rule = RULE
        self.no_frame_at: set[float] = set()
        self.path = path
        self._expose = self.scope.expose_at
        monkeypatch.setattr(self.scope, "expose_at", self.noted)
        monkeypatch.setattr(scanner, "survey", lambda *_, **__: None)
        monkeypatch.setattr(scanner, "Captures", Fields)
        monkeypatch.setattr(second_plane, "patch_sizes_um", lambda _, findings, __: [30.0] * len(findings))

    def noted(self, z_um: float) -> Frame:
        at = self.scope.position()
        (index,) = [f.index for f in FIELDS if abs(f.x_um - at.x_um) < 1 and abs(f.y_um - at.y_um) < 1]
        self.exposed.append((index, z_um))
        if z_um in self.no_frame_at:
            raise FrameTimeout("no frame came", remedy="none")
        return painted(self._expose(z_um), 90)

    def read(self, *, recorded: frozenset[int] = frozenset()) -> Journal:
        journal = Journal.open(self.path)
        if not recorded:
            journal.begin(run(), "{}")
        reader = Reader(
            run(),
            SeenAt(self.gates),
            journal,
            ReadingRules(("malignant",), 0.5, 0.2, 8),
            queue_length=8,
            done=lambda _: None,
            planes=SecondPlanes(self.rule, FocusSection(), 8),
            done_again=self.watch.second_plane_done,
        )
        Fields.after = staticmethod(reader.catch_up if self.catches_up else lambda: None)  # type: ignore[assignment]
        plan = Plan("serous", *SIZE_UM, Region(0, 0, 1, 1, Shape.RECTANGLE), tuple(FIELDS))
        try:
            scan(self.scope, plan, recorded, load_settings(), reader, self.watch, self.stop)
        except BaseException:
            reader.close()
            journal.close()
            raise
        return journal


@pytest.fixture
def slide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slide:
    return Slide(tmp_path / "journal.sqlite", monkeypatch)


def test_second_planes_are_taken_right_after_their_row_the_last_field_first(slide: Slide) -> None:
    slide.read().close()
    first = [(index, 3_000.0 + index) for index in range(8)]
    second = [(index, 2_991.0 + index) for index in (3, 2, 1, 0)]
    assert slide.exposed == [*first[:5], *second, *first[5:]], "half of the plan, and no more"


def test_what_is_scored_too_late_is_taken_after_the_next_row_or_after_the_last(slide: Slide) -> None:
    slide.rule = RULE.model_copy(update={"max_share": 1.0})
    slide.catches_up = False
    slide.gates = {2: threading.Event()}
    expose = slide.noted

    def releasing(z_um: float) -> Frame:
        if slide.exposed and slide.exposed[-1][0] == 4:
            slide.gates[2].set()
        return expose(z_um)

    slide.scope.expose_at = releasing  # type: ignore[method-assign]
    slide.read().close()
    again = [entry for entry in slide.exposed if entry[1] < 3_000.0 + entry[0]]
    assert sorted(again) == [(index, 2_991.0 + index) for index in range(8)], "each field once"
    places = [slide.exposed.index((index, 2_991.0 + index)) for index in range(8)]
    assert min(places[2:]) > slide.exposed.index((7, 3_007.0)), "field 2 was scored during the next row"


def test_an_object_in_both_planes_is_one_finding_with_both_pictures(slide: Slide) -> None:
    with slide.read() as journal:
        fields = {record.index: record for record in journal.fields("r")}
        assert [fields[index].second is not None for index in range(8)] == [True] * 4 + [False] * 4
        second = fields[2].second
        assert second is not None
        assert (second.z_um, second.reason, second.exposures) == (2_993.0, "", 1)
        assert set(second.seconds) == {"move", "settle", "expose", "score"}
        assert fields[2].counts == {"malignant": 2, "benign": 1}
        assert fields[5].counts == {"benign": 1}
        found = [finding for finding in journal.findings("r") if finding.field_index == 2]
        assert [(finding.probability, finding.z_um) for finding in found] == [(0.8, 2_993.0), (0.7, 2_993.0)]
        kept = {finding for finding, _ in journal.pictures("r") if finding.field_index == 2}
        assert kept == set(found)
        others = journal.other_planes("r")
        assert [(others[f].z_um, others[f].probability) for f in found] == [(3_002.0, 0.4), (3_002.0, None)]
        assert all(others[f].picture.startswith(b"\xff\xd8") for f in found)
    assert [done.record.index for done in slide.watch.again] == [3, 2, 1, 0]
    assert [done.first.counts for done in slide.watch.again] == [{"benign": 1}] * 4


def test_without_a_frame_the_first_plane_stands_and_the_record_says_why(slide: Slide) -> None:
    slide.no_frame_at = {2_992.0}
    with slide.read() as journal:
        record = journal.fields("r")[1]
        assert record.second is not None
        assert record.second.reason == "no frame came"
        assert record.counts == {"benign": 1}
        assert [f.probability for f in journal.findings("r") if f.field_index == 1] == [0.4]
        assert all(r.second and not r.second.reason for r in journal.fields("r") if r.index in {0, 2, 3})


def test_a_stop_between_the_planes_loses_the_second_alone_and_no_field_is_scanned_again(slide: Slide) -> None:
    expose = slide.noted

    def stopping(z_um: float) -> Frame:
        if z_um == 2_994.0:
            slide.stop.set()
        return expose(z_um)

    slide.scope.expose_at = stopping  # type: ignore[method-assign]
    with pytest.raises(Stopped):
        slide.read()
    slide.stop.clear()
    slide.scope.expose_at = expose  # type: ignore[method-assign]
    before = len(slide.exposed)
    with slide.read(recorded=frozenset(range(5))) as journal:
        assert {index for index, _ in slide.exposed[before:]} == {5, 6, 7}
        assert [record.index for record in journal.fields("r")] == list(range(8))


def test_z_ends_retracted_after_second_planes(slide: Slide) -> None:
    slide.read().close()
    assert slide.scope.position().z_um <= load_settings().stage.retract_z_um + 1


def test_the_exposure_is_made_at_its_height_over_its_field() -> None:
    scope = Scope()
    frame = Frame(1, stained(50), PixelFormat.RGB8, 1, 2, CameraSettings(5.0), FrameStatus.OK)
    done = expose_again(scope, Again(FIELDS[2], 2_991.0, frame, read_as(0.9), field_record(2)))
    at = scope.position()
    assert (at.x_um, at.y_um, at.z_um) == pytest.approx((FIELDS[2].x_um, FIELDS[2].y_um, 2_991.0), abs=0.1)
    assert done.frame is not None
    assert done.meter.exposures == 1
