"""Frames in passing: what they settle without a device, and what they leave open."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from appliance.records import Outcome
from appliance.scan.focus import curve, frames
from appliance.scan.focus.baseline import Baseline
from appliance.scan.focus.curve import sharpness_curve, shoot
from appliance.scan.focus.estimate import Width
from appliance.scan.focus.frames import APART_DOF, Seen, settle_frames
from appliance.scan.focus.judge import Judgement, SlideJudge
from appliance.scan.focus.search import Focused, View
from appliance.scan.focus.surface import Prediction
from appliance.settings import FocusSection
from drivers.camera.frame import Frame

from .painted import BLUE, CLEAR, DOF_UM, HEIGHT, OPTICS, WIDTH, PaintedSlide, bayer, cells, clear, frame

BASELINE = Baseline(0.008, CLEAR)
UNJUDGED = View(BASELINE, Width(2.2 * DOF_UM, 0.2))
BEST = 3000.0


def settled(slide: PaintedSlide, expected_um: float, *, lost: int = 0) -> Focused | Seen:
    """Three frames around an expected height, the last ones lost."""
    heights = [expected_um + n * APART_DOF * DOF_UM for n in (-1, 0, 1)]
    taken = [slide.expose_at(z) for z in heights[: 3 - lost]]
    return settle_frames(taken, heights, Prediction(expected_um, 0.5 * DOF_UM), UNJUDGED, FocusSection(), OPTICS)


def test_where_a_frame_was_lost_nothing_is_compared() -> None:
    found = settled(PaintedSlide([(cells(), 0.0)]), BEST, lost=1)
    assert isinstance(found, Seen)
    assert (found.next_um, len(found.shots)) == (None, 1)


def test_nothing_on_the_glass_is_blank() -> None:
    found = settled(PaintedSlide([(clear(), 0.0)]), BEST)
    assert isinstance(found, Focused)
    assert found.outcome is Outcome.BLANK


class Deaf(SlideJudge):
    """A judge to whom no frame is familiar."""

    def __init__(self) -> None:
        pass

    def judge(self, features: object, prior_um: float, prior_sigma_um: float, tolerance_um: float) -> Judgement:
        return Judgement(prior_um, prior_sigma_um, 0.0, familiar=False)


class Vague(Deaf):
    """A judge who hears every frame, and then thinks what was expected."""

    def judge(self, features: object, prior_um: float, prior_sigma_um: float, tolerance_um: float) -> Judgement:
        return replace(super().judge(features, prior_um, prior_sigma_um, tolerance_um), familiar=True)


def pair(
    expected_um: float, first_um: float, judge: SlideJudge | None = None, height_um: float = 0.0
) -> Focused | Seen:
    """Two frames, of which the judge tells nothing unless another one is given."""
    heights = [first_um, first_um + APART_DOF * DOF_UM]
    view = replace(UNJUDGED, judge=judge or Deaf(), height_um=height_um)
    slide = PaintedSlide([(cells(), 0.0)])
    taken = [slide.expose_at(z) for z in heights]
    return settle_frames(taken, heights, Prediction(expected_um, 0.3 * DOF_UM), view, FocusSection(), OPTICS)


@pytest.mark.parametrize("first_dof", [-0.25, -0.2, -0.15])
def test_two_frames_that_the_judge_does_not_know_are_compared_but_want_a_third_beyond_them(first_dof: float) -> None:
    """The middle one of these is as sharp in both, which might also be a stage that does not move."""
    first_um = BEST + first_dof * DOF_UM
    found = pair(BEST, first_um)
    assert isinstance(found, Seen)
    assert len(found.shots) == 2
    assert found.next_um is not None
    beyond_um = max(first_um - found.next_um, found.next_um - first_um - APART_DOF * DOF_UM)
    assert beyond_um == pytest.approx(APART_DOF * DOF_UM)


def test_a_peak_outside_both_frames_is_where_the_third_is_taken() -> None:
    found = pair(BEST, BEST + 0.45 * DOF_UM)
    assert isinstance(found, Seen)
    assert found.next_um is not None
    assert abs(found.next_um - BEST) < 0.3 * DOF_UM


@pytest.mark.parametrize(("height_dof", "settled"), [(0.1, True), (0.13, False)])
def test_a_pair_whose_heights_err_much_against_its_distance_wants_a_third(height_dof: float, *, settled: bool) -> None:
    found = pair(BEST, BEST - 0.2 * DOF_UM, Vague(), height_dof * DOF_UM)
    assert isinstance(found, Focused) is settled
    assert settled or (isinstance(found, Seen) and found.next_um is not None)


@pytest.mark.parametrize("mode", ["fast", "exact"])
@pytest.mark.parametrize(("height_dof", "settled"), [(0.05, True), (0.5, False)])
def test_frames_settle_nothing_where_their_own_heights_are_unknown(
    mode: Literal["fast", "exact"], height_dof: float, *, settled: bool
) -> None:
    heights = [BEST + n * APART_DOF * DOF_UM for n in (-1, 0, 1)]
    slide = PaintedSlide([(cells(), 0.0)])
    view = replace(UNJUDGED, width=Width(DOF_UM, 0.4), height_um=height_dof * DOF_UM)
    taken = [slide.expose_at(z) for z in heights]
    expected = Prediction(BEST, 0.5 * DOF_UM)
    found = settle_frames(taken, heights, expected, view, FocusSection(mode=mode), OPTICS)
    assert isinstance(found, Focused if settled else Seen)


@pytest.mark.parametrize("off_dof", [0.0, 0.2, 0.3, 0.4])
def test_the_surface_hears_what_the_frames_show_and_not_how_far_that_is_from_a_bad_guess(off_dof: float) -> None:
    heights = [BEST + n * APART_DOF * DOF_UM for n in (-1, 0, 1)]
    slide = PaintedSlide([(cells(), 0.0)])
    view = replace(UNJUDGED, height_um=0.05 * DOF_UM)
    guess = Prediction(BEST + off_dof * DOF_UM, 0.1 * DOF_UM)
    found = settle_frames([slide.expose_at(z) for z in heights], heights, guess, view, FocusSection(), OPTICS)
    assert isinstance(found, Focused)
    assert found.peak is not None
    assert found.peak == found.witness
    assert abs(found.peak.z_um - BEST) < 0.05 * DOF_UM


class OneFrame:
    """A search that has one shot, of which this is known."""

    def __init__(self, shot: curve.Shot, *, structured: int, hidden: float) -> None:
        grid = np.zeros(shot.content.structured.shape, np.bool_)
        grid.flat[:structured] = True
        content = replace(shot.content, structured=grid, hidden=hidden, foreign=np.zeros_like(grid))
        self._search = frames.Search(_Nowhere(), Prediction(BEST, 0.3), UNJUDGED, FocusSection(), OPTICS)
        self._search.shots = [replace(shot, content=content)]

    def look(self) -> Focused | Seen:
        return frames.look(self._search)


class _Nowhere:
    def now_s(self) -> float:
        raise NotImplementedError

    def expose_at(self, z_um: float) -> Frame:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("structured", "hidden", "blank"), [(0, 0.0, True), (1, 0.0, False), (1, 0.1, True), (0, 0.1, True)]
)
def test_a_hint_of_structure_gets_a_second_look_but_not_what_frays_from_ink(
    structured: int, hidden: float, *, blank: bool
) -> None:
    shot = shoot(frame(bayer(clear(), np.random.default_rng(2))), BEST, BASELINE, OPTICS.um_per_px)
    found = OneFrame(shot, structured=structured, hidden=hidden).look()
    if blank:
        assert isinstance(found, Focused)
        assert found.outcome is Outcome.BLANK
    else:
        assert isinstance(found, Seen)
        assert found.next_um is None


def test_one_cell_is_not_drowned_by_the_noise_of_the_empty_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = clear()
    picture[HEIGHT // 2 : HEIGHT // 2 + 12, WIDTH // 2 : WIDTH // 2 + 12] = BLUE
    slide = PaintedSlide([(picture, 0.0)])
    shots = [shoot(slide.expose_at(z), z, BASELINE, OPTICS.um_per_px) for z in (BEST, BEST + DOF_UM)]
    assert shots[0].content.structured.any()
    near = sharpness_curve(shots, BASELINE)
    monkeypatch.setattr(curve, "_SPARSE", 0.0)
    all_of_it = sharpness_curve(shots, BASELINE)
    assert near[0].value / near[0].sigma > 1.5 * all_of_it[0].value / all_of_it[0].sigma


def test_a_full_field_is_asked_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    slide = PaintedSlide([(cells(), 0.0)])
    shots = [shoot(slide.expose_at(z), z, BASELINE, OPTICS.um_per_px) for z in (BEST, BEST + DOF_UM)]
    as_it_is = sharpness_curve(shots, BASELINE)
    monkeypatch.setattr(curve, "_SPARSE", 0.0)
    assert as_it_is == sharpness_curve(shots, BASELINE)
