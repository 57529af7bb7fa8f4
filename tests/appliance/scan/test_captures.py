"""Captures in simulated time: each field once, judged on the way to the next, visited again where that failed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest

from appliance.records import FocusResult, Outcome
from appliance.scan import captures, pace
from appliance.scan.captures import Capture, Captures
from appliance.scan.focus.baseline import Baseline
from appliance.scan.focus.estimate import Peak, Width
from appliance.scan.focus.frames import APART_DOF, Seen
from appliance.scan.focus.search import Focused, View
from appliance.scan.focus.surface import Observation, Prediction
from appliance.scan.focus.survey import Survey
from appliance.scan.pace import MEMORY, Checks, Haste, Share
from appliance.scan.plan import PlannedField
from appliance.settings import FocusSection
from drivers.camera.frame import Frame, FrameStatus
from drivers.errors import FrameTimeout
from drivers.stage import Position
from drivers.twin.settings import load_settings
from drivers.twin.virtual.camera import VirtualCamera

from .microscope import Microscope
from .painted import OPTICS

SMALL = [
    "slide.content=empty",
    "camera.width_px=320",
    "camera.height_px=256",
    "slide.clutter.dust_per_mm2=0",
    "seed=21",
]
FIELDS = [
    PlannedField(i, 37_000.0 + 200.0 * (i % 4 if i < 4 else 3 - i % 4), 13_000.0 + 200.0 * (i // 4)) for i in range(8)
]
"""Two rows of four, serpentine."""


_VIEW = View(Baseline(0.01, (215.0, 220.0, 200.0)), Width(6.0, 0.2))


@dataclass
class Verdicts:
    """Stands for the judging of frames, so that the way through the slide can be told apart from optics.

    unsettled: indexes of fields that frames in passing do not settle. log: ("judged", "compared" or "stayed", index,
    moving). below_um: how far below the expected height the first frame has to be.
    """

    scope: Microscope
    unsettled: frozenset[int] = frozenset()
    below_um: float = 0.0
    log: list[tuple[str, int, bool]] = field(default_factory=list)

    def put_into(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("settle_frames", "focus_field"):
            monkeypatch.setattr(captures, name, getattr(self, name))

    def index(self, prediction: Prediction) -> int:
        """Heights are predicted as the index of the field."""
        return round(prediction.z_um - 3000.0)

    def done(self, index: int, frame: Frame, exposures: int) -> Focused:
        peak = Peak(3000.0 + index, 0.3, 1.0, "judged", 6.0)
        result = FocusResult(3000.0 + index, 0.3, 1.0, "judged", exposures, 3000.0 + index)
        return Focused(result, frame, Outcome.USABLE, "", peak)

    def settle_frames(
        self, frames: Sequence[Frame], heights_um: Sequence[float], prediction: Prediction, view: View, *_: object
    ) -> Focused | Seen:
        return self.found("compared" if view.judge is None else "judged", frames, heights_um, prediction)

    def found(
        self, how: str, frames: Sequence[Frame], heights_um: Sequence[float], prediction: Prediction
    ) -> Focused | Seen:
        index = self.index(prediction)
        below_um = APART_DOF * OPTICS.dof_um if how == "compared" else self.below_um
        assert heights_um[0] == pytest.approx(prediction.z_um - below_um, abs=1e-6)
        self.log.append((how, index, self.scope._under_way is not None))
        if index in self.unsettled:
            return Seen(prediction, next_um=prediction.z_um)
        return self.done(index, frames[0], len(frames))

    def focus_field(self, device: Microscope, prediction: Prediction, *_: object, **__: object) -> Focused:
        index = self.index(prediction)
        self.log.append(("stayed", index, False))
        return self.done(index, device.expose_at(prediction.z_um), 1)


class Heights:
    """A surface that expects each field at 3000 µm and its index, to a tenth of a µm."""

    def __init__(self) -> None:
        self.seen: list[Observation] = []

    def predict(self, x_um: float, y_um: float, at_s: float) -> Prediction:
        (index,) = [f.index for f in FIELDS if (f.x_um, f.y_um) == (x_um, y_um)]
        return Prediction(3000.0 + index, 0.1)

    def add(self, observations: list[Observation]) -> None:
        self.seen.extend(observations)


@pytest.fixture
def scope() -> Microscope:
    return Microscope(load_settings(None, SMALL))


def run(
    scope: Microscope,
    monkeypatch: pytest.MonkeyPatch,
    unsettled: set[int],
    *,
    judge: bool = True,
    checks: bool = False,
    below_um: float = 0.0,
    haste: Haste | None = None,
    height_um: float = 0.0,
) -> tuple[Verdicts, list[Capture], Heights]:
    verdicts = Verdicts(scope, frozenset(unsettled), below_um)
    if not checks:
        monkeypatch.setattr(captures, "Checks", lambda: Checks(due=1_000))
    monkeypatch.setattr(captures, "Haste", lambda: haste or Haste(Share(counted=MEMORY)))
    verdicts.put_into(monkeypatch)
    heights = Heights()
    view = replace(_VIEW, judge=object() if judge else None, height_um=height_um)
    known = Survey(True, "", heights, view, (), 0)  # type: ignore[arg-type]
    found = list(Captures(scope, known, FocusSection(), OPTICS).of(FIELDS))
    return verdicts, found, heights


def test_each_frame_is_judged_while_the_stage_is_on_its_way_but_for_the_last_of_all(
    scope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts, found, heights = run(scope, monkeypatch, set())
    assert [capture.planned.index for capture in found] == list(range(8))
    assert verdicts.log == [(("stayed", i, False) if i == 7 else ("judged", i, True)) for i in range(8)]
    assert [capture.focus.exposures for capture in found] == [1] * 8
    assert [seen.z_um - 3000.0 for seen in heights.seen] == list(range(8))
    assert all(capture.meter.exposures == 1 for capture in found)


def test_the_surface_hears_by_how_much_heights_err(scope: Microscope, monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, heights = run(scope, monkeypatch, set(), height_um=0.4)
    assert [seen.sigma_um for seen in heights.seen] == pytest.approx([0.5] * 8)


def test_what_a_frame_does_not_settle_is_visited_again_on_the_way_along_the_next_row(
    scope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts, found, _ = run(scope, monkeypatch, {0, 2})
    assert [capture.planned.index for capture in found] == [1, 3, 4, 5, 2, 6, 7, 0]
    assert [entry[:2] for entry in verdicts.log[4:]] == [
        ("judged", 4), ("judged", 5), ("stayed", 2), ("judged", 6), ("judged", 7), ("stayed", 0),
    ]  # fmt: skip
    again = {capture.planned.index: capture.focus.exposures for capture in found}
    assert again == {0: 2, 1: 1, 2: 2, 3: 1, 4: 1, 5: 1, 6: 1, 7: 1}
    assert sum(capture.meter.exposures for capture in found) == 10


def test_the_next_row_begins_with_its_own_first_field_and_what_the_last_row_leaves_open_comes_at_the_end(
    scope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, found, _ = run(scope, monkeypatch, {3, 4, 6})
    assert [capture.planned.index for capture in found] == [0, 1, 2, 3, 5, 7, 6, 4]


def test_what_the_survey_has_settled_comes_first_and_is_not_visited_again(
    scope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = Verdicts(scope)
    verdicts.put_into(monkeypatch)
    monkeypatch.setattr(captures, "Checks", lambda: Checks(due=1_000))
    done = verdicts.done(5, scope.expose_at(3000.0), 4)
    known = Survey(
        True, "", Heights(), replace(_VIEW, judge=object()), (), 4, (((FIELDS[5].x_um, FIELDS[5].y_um), done),)
    )  # type: ignore[arg-type]
    scope.meter.take()
    found = list(Captures(scope, known, FocusSection(), OPTICS).of(FIELDS))
    assert [capture.planned.index for capture in found] == [5, 0, 1, 2, 3, 4, 6, 7]
    assert (found[0].frame, found[0].focus.exposures, found[0].meter.exposures) == (done.frame, 4, 0)
    assert 5 not in [index for _, index, _ in verdicts.log]


def test_the_stage_stands_over_its_field_until_the_camera_says_that_the_exposure_is_over(
    scope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera, places = scope.camera, dict[int, list[Position]]()
    trigger, exposed, grab = camera.trigger, camera.exposed, camera.grab

    def triggered() -> None:
        trigger()
        places[camera.exposures] = [scope.position()]

    def ended(timeout_s: float) -> None:
        exposed(timeout_s)
        places[camera.exposures].append(scope.position())

    def grabbed(timeout_s: float) -> Frame:
        frame = grab(timeout_s)
        places[frame.frame_id].append(scope.position())
        return frame

    for name, verb in (("trigger", triggered), ("exposed", ended), ("grab", grabbed)):
        monkeypatch.setattr(camera, name, verb)
    _, found, _ = run(scope, monkeypatch, {1})
    for capture in found:
        assert capture.frame is not None
        planned, (*during, read_out) = capture.planned, places[capture.frame.frame_id]
        expected = (planned.x_um, planned.y_um, 3000.0 + planned.index)
        for at in during:
            assert (at.x_um, at.y_um, at.z_um) == pytest.approx(expected, abs=0.1)
        stays = planned.index in {1, 7}
        assert len(during) == (1 if stays else 2)
        away_um = math.dist((read_out.x_um, read_out.y_um), (planned.x_um, planned.y_um))
        assert (away_um < 0.1) == stays
    assert len(places) == 9


def test_without_a_judge_the_stage_stays_until_each_field_is_done(
    scope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts, found, _ = run(scope, monkeypatch, set(), judge=False)
    assert [entry[:2] for entry in verdicts.log] == [("stayed", i) for i in range(8)]
    assert [capture.planned.index for capture in found] == list(range(8))


def test_seconds_of_all_fields_add_up_to_what_passed(scope: Microscope, monkeypatch: pytest.MonkeyPatch) -> None:
    begun_s = time.perf_counter()
    _, found, _ = run(scope, monkeypatch, {2})
    passed_s = time.perf_counter() - begun_s
    for capture in found:
        assert set(capture.seconds) == {"move", "settle", "focus", "expose", "host"}
        assert all(seconds >= -1e-6 for seconds in capture.seconds.values()), capture.seconds
    assert 0.9 * passed_s < sum(sum(capture.seconds.values()) for capture in found) <= passed_s


def test_an_interruption_is_no_fields_time(scope: Microscope, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([10.0, 17.0])
    monkeypatch.setattr(captures, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    known = Survey(True, "", Heights(), _VIEW, (), 0)  # type: ignore[arg-type]
    way = Captures(scope, known, FocusSection(), OPTICS)
    way._since_s = 9.0
    with way.interrupted():
        pass
    assert way._since_s == 16.0


@dataclass
class Unsound:
    """A camera of which the exposures with these numbers bring no good frame: what is wrong with them."""

    camera: VirtualCamera
    wrong: dict[int, str]
    exposed: Callable[[float], None] = field(init=False)
    grab: Callable[[float], Frame] = field(init=False)

    def __post_init__(self) -> None:
        self.exposed, self.grab = self.camera.exposed, self.camera.grab

    def exposed_or_silent(self, timeout_s: float) -> None:
        if self.wrong.get(self.camera.exposures) == "silent":
            raise FrameTimeout("no end of the exposure", remedy="none")
        self.exposed(timeout_s)

    def grabbed_or_lost(self, timeout_s: float) -> Frame:
        frame, wrong = self.grab(timeout_s), self.wrong.get(self.camera.exposures)
        if wrong in {"lost", "silent"}:
            raise FrameTimeout("no frame", remedy="none")
        return frame if wrong is None else replace(frame, status=FrameStatus(wrong))

    def put_into(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(self.camera, "exposed", self.exposed_or_silent)
        monkeypatch.setattr(self.camera, "grab", self.grabbed_or_lost)


@pytest.mark.parametrize("wrong", ["incomplete", "stale", "lost", "silent"])
def test_a_frame_that_does_not_come_whole_is_taken_again_later(
    scope: Microscope, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    Unsound(scope.camera, {2: wrong}).put_into(monkeypatch)
    verdicts, found, _ = run(scope, monkeypatch, set())
    assert [capture.planned.index for capture in found] == [0, 2, 3, 4, 5, 6, 1, 7]
    assert all(capture.outcome is Outcome.USABLE for capture in found)
    assert ("judged", 1, True) not in verdicts.log
    again = {capture.planned.index: capture.focus.exposures for capture in found}
    assert again == {0: 1, 1: 2, 2: 1, 3: 1, 4: 1, 5: 1, 6: 1, 7: 1}
    assert sum(capture.meter.exposures for capture in found) == 9


def test_a_field_without_a_frame_fails_and_the_scan_goes_on(scope: Microscope, monkeypatch: pytest.MonkeyPatch) -> None:
    """Field 1 is exposed as the second one, and between fields 6 and 7 as the eighth to tenth."""
    Unsound(scope.camera, dict.fromkeys((2, 8, 9, 10), "lost")).put_into(monkeypatch)
    _, found, heights = run(scope, monkeypatch, set())
    outcomes = {capture.planned.index: capture.outcome for capture in found}
    assert outcomes == {i: Outcome.FAILED if i == 1 else Outcome.USABLE for i in range(8)}
    (failed,) = [capture for capture in found if capture.outcome is Outcome.FAILED]
    assert failed.frame is None
    assert failed.focus.exposures == 4
    assert len(heights.seen) == 7


def test_readout_is_hidden_behind_the_way_and_all_that_the_hardware_took_is_counted(
    scope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope.go_to(FIELDS[0].x_um, FIELDS[0].y_um, 3000.0)
    scope.meter.take()
    begun_s = scope.now_s()
    _, found, _ = run(scope, monkeypatch, set())
    took_s = sum(capture.meter.hardware_s for capture in found)
    assert took_s == pytest.approx(scope.now_s() - begun_s, abs=1e-3)
    stayed = [capture.planned.index == 7 for capture in found]
    ways_s = [
        capture.meter.hardware_s - (0.029 if stays else 0.005) for capture, stays in zip(found, stayed, strict=True)
    ]
    assert ways_s[0] == pytest.approx(0.0, abs=1e-6)
    assert all(way_s > 0.1 for way_s in ways_s[1:])


def test_some_fields_are_focused_without_the_judge_and_all_are_shown_to_it(
    scope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[float] = []
    monkeypatch.setattr(captures, "teach", lambda view, focused: shown.append(focused.result.z_um - 3000.0))
    verdicts, found, _ = run(scope, monkeypatch, {2}, checks=True)
    assert [(how, index) for how, index, _ in verdicts.log if how != "judged"] == [
        ("compared", 0), ("compared", 2), ("stayed", 2), ("compared", 6), ("stayed", 7),
    ]  # fmt: skip
    assert shown == [0, 1, 3, 4, 5, 2, 6, 7]
    assert [capture.planned.index for capture in found] == [0, 1, 3, 4, 5, 2, 6, 7]
    assert {capture.planned.index: capture.meter.exposures for capture in found} == {
        0: 3, 1: 1, 2: 4, 3: 1, 4: 1, 5: 1, 6: 3, 7: 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("one", "two", "below_dof", "frames"),
    [(0.7, 1.0, 0.0, 2), (0.3, 1.0, APART_DOF / 2, 2), (0.1, 0.1, APART_DOF, 3)],
)
def test_where_one_frame_often_leaves_it_open_two_or_three_are_taken_in_passing(
    scope: Microscope, monkeypatch: pytest.MonkeyPatch, one: float, two: float, below_dof: float, frames: int
) -> None:
    """Around the expected height where one seldom does."""
    monkeypatch.setattr(pace, "_TRY_EVERY", 4 * len(FIELDS))
    haste = Haste(Share(one, MEMORY), Share(two, MEMORY), noted=1)
    verdicts, found, _ = run(scope, monkeypatch, {2}, below_um=below_dof * OPTICS.dof_um, haste=haste)
    assert [entry[:2] for entry in verdicts.log[-3:]] == [("stayed", 2), ("judged", 6), ("stayed", 7)]
    assert [capture.focus.exposures for capture in found] == [*[frames] * 5, frames + 1, frames, 1]
