"""Focusing one field: kept in focus, few exposures, nothing chased, and reasons where it cannot be done."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.records import Outcome
from appliance.scan.focus.baseline import Baseline
from appliance.scan.focus.estimate import Width
from appliance.scan.focus.field import focus_field
from appliance.scan.focus.search import Focused, View
from appliance.scan.focus.surface import Prediction
from appliance.settings import FocusSection
from drivers.camera.frame import Frame
from drivers.errors import CameraLost

from .painted import BLUE, CLEAR, DOF_UM, GREY, OPTICS, PaintedSlide, bayer, cells, clear, frame, inked, with_discs

SETTINGS = FocusSection(bracket_step_dof=0.8, keep_within_dof=0.3, max_exposures=8)
VIEW = View(Baseline(0.008, CLEAR), Width(2.2 * DOF_UM, 0.2))
BEST = 3000.0


def focused(
    slide: PaintedSlide, predicted_um: float = BEST, settings: FocusSection = SETTINGS, *, view: View = VIEW
) -> Focused:
    return focus_field(slide, Prediction(predicted_um, 0.5 * DOF_UM), view, settings, OPTICS)


@pytest.mark.parametrize("off_dof", [-2.2, -1.3, -0.6, -0.2, 0.0, 0.1, 0.4, 0.9, 1.6, 2.4])
def test_the_kept_frame_is_in_focus_from_any_near_prediction(off_dof: float) -> None:
    slide = PaintedSlide([(cells(), 0.0)])
    done = focused(slide, BEST + off_dof * DOF_UM)
    assert done.outcome is Outcome.USABLE
    assert done.reason == ""
    assert abs(done.result.z_um - BEST) < 0.4 * DOF_UM
    assert done.frame is not None
    assert slide.heights[done.frame.frame_id - 1] == done.result.z_um
    assert done.result.exposures == len(slide.log) <= 3 + abs(off_dof) / 0.8 + 2
    assert done.result.sigma_um is not None
    assert done.result.predicted_z_um == BEST + off_dof * DOF_UM
    assert done.peak is not None
    assert abs(done.peak.z_um - BEST) < 0.2 * DOF_UM


def test_a_good_prediction_costs_three_exposures_in_rising_order() -> None:
    slide = PaintedSlide([(cells(), 0.0)])
    focused(slide, BEST + 0.1 * DOF_UM)
    assert len(slide.heights) == 3
    assert slide.heights == sorted(slide.heights)


def test_everything_scales_with_the_depth_of_field() -> None:
    """The same slide seen through another objective: the same decisions at heights in proportion."""
    slide = PaintedSlide([(cells(), 0.0)])
    focused(slide, BEST + 0.5 * DOF_UM)
    spread = np.diff(slide.heights)
    assert spread[0] == pytest.approx(0.8 * DOF_UM)


def test_a_blank_field_is_recognised_and_not_chased() -> None:
    for seed_height in (0.0, 1.0):
        slide = PaintedSlide([(clear(), seed_height)])
        done = focused(slide)
        assert done.outcome is Outcome.BLANK
        assert done.result.reason == "blank"
        assert done.result.z_um == BEST
        assert done.result.exposures == len(slide.log) == 2
        assert done.frame is not None
        assert done.peak is None


def test_one_cell_is_enough_to_focus_on() -> None:
    done = focused(PaintedSlide([(with_discs(clear(), 2, BLUE, seed=4), 0.0)]), BEST + 0.5 * DOF_UM)
    assert done.outcome is Outcome.USABLE
    assert abs(done.result.z_um - BEST) < 0.5 * DOF_UM


def test_ink_alone_is_obscured_without_a_search() -> None:
    for share in (1.0, 0.7):
        slide = PaintedSlide([(inked(clear(), share), 0.0)])
        done = focused(slide)
        assert done.outcome is Outcome.FAILED
        assert done.reason == "obscured"
        assert len(slide.log) == 2


def test_on_a_slide_of_ink_a_few_specks_are_not_taken_for_specimen() -> None:
    among_ink = replace(VIEW, inked=True)
    for count, expected in ((2, Outcome.BLANK), (60, Outcome.USABLE)):
        slide = PaintedSlide([(cells(count), 0.0)])
        assert focused(slide, view=among_ink).outcome is expected
        assert focused(slide).outcome is Outcome.USABLE


def test_dust_on_another_plane_is_not_chased() -> None:
    slide = PaintedSlide([(with_discs(clear(), 12, GREY), 2.0 * DOF_UM)])
    done = focused(slide)
    assert done.outcome is Outcome.BLANK
    assert len(slide.log) == 2


@pytest.mark.parametrize(("discs", "outcome"), [(2, Outcome.FAILED), (40, Outcome.USABLE)])
def test_specks_are_not_followed_to_where_no_specimen_is_expected_but_specimen_is(discs: int, outcome: Outcome) -> None:
    slide = PaintedSlide([(with_discs(clear(), discs, BLUE, seed=4), 0.0)])
    expected = Prediction(BEST + 2.2 * DOF_UM, 0.2 * DOF_UM)
    done = focus_field(slide, expected, VIEW, FocusSection(), OPTICS)
    assert done.outcome is outcome
    if outcome is Outcome.FAILED:
        assert done.reason == "not focused: specks away from the expected height"
        assert len(slide.log) <= 3


def test_dust_and_ink_above_the_cells_do_not_draw_focus_away() -> None:
    dusty = with_discs(clear(), 8, (20.0, 20.0, 19.0), seed=9, px=5)
    done = focused(PaintedSlide([(cells(40), 0.0), (dusty, 3 * DOF_UM)]))
    assert done.outcome is Outcome.USABLE
    assert abs(done.result.z_um - BEST) < 0.4 * DOF_UM


def test_a_specimen_out_of_reach_fails_after_bounded_exposures() -> None:
    for away in (-12, 12):
        slide = PaintedSlide([(cells(), 0.0)])
        done = focused(slide, BEST + away * DOF_UM)
        assert done.outcome is Outcome.FAILED
        assert done.reason.startswith("not focused")
        assert done.frame is None
        assert len(slide.log) <= SETTINGS.max_exposures
        assert max(abs(z - BEST - away * DOF_UM) for z in slide.heights) <= 3.01 * DOF_UM


def test_it_never_asks_outside_the_bounds_of_the_settings() -> None:
    bounded = FocusSection(min_z_um=BEST - 1.0, max_z_um=BEST + 2.0, reference_z_um=BEST)
    slide = PaintedSlide([(cells(), 5 * DOF_UM)])
    focused(slide, BEST, bounded)
    assert min(slide.heights) >= BEST - 1.0
    assert max(slide.heights) <= BEST + 2.0


def test_a_device_that_ignores_its_heights_is_not_believed() -> None:
    class Stuck(PaintedSlide):
        def expose_at(self, z_um: float) -> Frame:
            return super().expose_at(BEST + 1.5 * DOF_UM)

    done = focused(Stuck([(cells(), 0.0)]))
    assert done.outcome is Outcome.FAILED
    assert done.result.confidence == 0.0


def test_a_change_of_picture_that_no_defocus_explains_is_no_focus() -> None:
    """Cells that are there in one frame only: the stage slipped, or something passed by."""

    class Flash(PaintedSlide):
        def expose_at(self, z_um: float) -> Frame:
            shown = super().expose_at(z_um)
            if len(self.log) == 2:
                return shown
            faint = with_discs(clear(), 3, BLUE, seed=len(self.log))
            return frame(bayer(faint, np.random.default_rng(len(self.log))), len(self.log))

    done = focused(Flash([(cells(150), 0.0)]))
    assert done.outcome is Outcome.FAILED
    assert done.reason == "not focused: inconsistent"
    assert done.frame is None


def test_errors_of_the_device_come_through() -> None:
    class Gone:
        def expose_at(self, z_um: float) -> Frame:
            raise CameraLost("The camera stopped answering.", remedy="Check the cable.")

    with pytest.raises(CameraLost):
        focus_field(Gone(), Prediction(BEST, 1.0), VIEW, SETTINGS, OPTICS)


def test_evenness_lets_the_many_outvote_the_strong() -> None:
    """A few black discs above a pale carpet: energy follows the discs, votes follow the carpet."""
    carpet = with_discs(clear(), 500, (196.0, 196.0, 192.0), px=5)
    strong = with_discs(clear(), 12, (30.0, 25.0, 90.0), seed=2, px=10)
    away = 1.2 * DOF_UM
    found = []
    for evenness in (0.0, 1.0):
        slide = PaintedSlide([(carpet, 0.0), (strong, away)])
        view = View(VIEW.baseline, VIEW.width, evenness)
        done = focus_field(slide, Prediction(BEST + away / 2, 1.0), view, SETTINGS, OPTICS)
        assert done.peak is not None
        found.append(done.peak.z_um - BEST)
    energy, votes = found
    assert energy > 0.7 * away
    assert votes < 0.4 * away
