"""Judging one picture: the axial curve of the twin, measured as a device's is, and what the judge makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.errors import SettingsError
from appliance.records import Outcome
from appliance.scan.focus.axial import AxialCurve, Stack, learn_curve
from appliance.scan.focus.bands import BANDS, FEATURES, measure_bands
from appliance.scan.focus.baseline import Baseline
from appliance.scan.focus.calibrate import (
    FEWEST_FIELDS,
    axial_quality,
    calibrated_curve,
    familiar_stacks,
    measure_stacks,
    trustworthy,
)
from appliance.scan.focus.curve_file import load_curve, save_curve
from appliance.scan.focus.field import focus_field
from appliance.scan.focus.frames import APART_DOF, Seen, settle_frames
from appliance.scan.focus.judge import SlideJudge
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.focus.places import survey_places
from appliance.scan.focus.search import Focused
from appliance.scan.focus.surface import Prediction
from appliance.scan.focus.survey import Survey, survey
from appliance.settings import FocusSection
from drivers.twin.settings import load_settings

from .microscope import Microscope
from .painted import OPTICS, bayer, clear, frame

DOF_UM = OPTICS.dof_um
SMALL = ["slide.content=serous", "optics.magnification=450", "camera.width_px=960", "camera.height_px=608"]


def stacks_of(seed: int, *more: str) -> list[Stack]:
    """Stacks of a twin slide, in frames of a quarter of the size."""
    scope = Microscope(load_settings(None, [*SMALL, f"seed={seed}", *more]))
    fields = scope.places(60)
    known = survey(scope, fields, FocusSection(), OPTICS)
    places = [group[0] for group in survey_places(fields, 12)]
    return measure_stacks(scope, places, known, FocusSection(), OPTICS)


@pytest.fixture(scope="module")
def stacks() -> list[Stack]:
    return stacks_of(31)


@pytest.fixture(scope="module")
def curve(stacks: list[Stack]) -> AxialCurve:
    return learn_curve(stacks, OPTICS)


def test_a_device_with_axial_colour_tells_side_and_size_from_one_picture(stacks: list[Stack]) -> None:
    quality = axial_quality(stacks, OPTICS)
    assert trustworthy(quality), quality
    assert quality.median_um < 0.2 * DOF_UM
    assert quality.wrong_side <= 0.05


def test_a_device_without_axial_colour_is_found_out() -> None:
    """Both sides of focus then look alike, and what differs is chance."""
    plain = stacks_of(31, "optics.axial_red_um=0", "optics.axial_blue_um=0")
    quality = axial_quality(plain, OPTICS)
    assert not trustworthy(quality), quality
    assert quality.wrong_side > 0.02


def test_a_field_like_none_of_the_others_does_not_make_the_judge_vague(stacks: list[Stack], curve: AxialCurve) -> None:
    strange = replace(stacks[0], features=stacks[0].features + np.where(np.arange(FEATURES) % 2, 2.0, -2.0))
    assert familiar_stacks(stacks, OPTICS) == stacks
    assert familiar_stacks([*stacks, strange], OPTICS) == stacks
    learned, quality = calibrated_curve([*stacks, strange], OPTICS)
    assert np.array_equal(learned.covariance, curve.covariance)
    assert (quality.fields, quality.strange) == (len(stacks), 1)
    assert quality.told <= len(stacks) / (len(stacks) + 1)


def test_where_many_fields_are_strange_that_is_the_slide(stacks: list[Stack]) -> None:
    odd = [
        replace(stack, features=stack.features + (5.0 + 5.0 * number) * np.where(np.arange(FEATURES) % 2, 1.0, -1.0))
        for number, stack in enumerate(stacks[::2])
    ]
    left = familiar_stacks([*stacks[1::2], *odd], OPTICS)
    assert len(left) >= max(FEWEST_FIELDS, 0.75 * len(stacks))


def test_another_slide_is_judged_by_the_curve_of_this_one(curve: AxialCurve) -> None:
    """Other stains, other cells: the judge is shown a frame near focus of four fields, as a survey does."""
    other = stacks_of(32)
    judge = SlideJudge(curve)
    for stack in other[:4]:
        nearest = int(np.abs(stack.offset_um).argmin())
        judge.learn(stack.features[nearest], float(stack.offset_um[nearest]), 0.1 * DOF_UM)
    errors = []
    for stack in other[4:]:
        for offset, features in zip(stack.offset_um, stack.features, strict=True):
            if abs(offset) < 1.5 * DOF_UM:
                found = judge.judge(features, 0.0, 1.5 * DOF_UM, DOF_UM / 2)
                errors.append((found.offset_um - offset, found.sigma_um))
    error, sigma = np.array(errors).T
    assert float(np.median(np.abs(error))) < 0.25 * DOF_UM
    assert float((np.abs(error) < DOF_UM / 2).mean()) > 0.8
    assert float((np.abs(error) < 3 * sigma).mean()) > 0.9


def test_a_frame_like_none_that_was_learned_leaves_the_prediction_as_it_was(curve: AxialCurve) -> None:
    judge = SlideJudge(curve)
    strange = curve.mean[curve.offset_um.size // 2] + 20.0 * np.where(np.arange(FEATURES) % 2, 1.0, -1.0)
    found = judge.judge(strange, 0.4, 0.7, DOF_UM / 2)
    assert not found.familiar
    assert found.offset_um == pytest.approx(0.4, abs=0.01)
    assert found.sigma_um == pytest.approx(0.7, rel=0.05)


def test_what_a_slide_shifts_is_learned_and_taken_off(curve: AxialCurve) -> None:
    """A stain that is half as strong in blue, at a height in between two that are known."""
    height = 0.37 * DOF_UM
    mean, _, _ = curve.at(height)
    shift = np.concatenate([np.zeros(BANDS), -0.7 * np.ones(BANDS), np.zeros(BANDS - 1)])
    judge = SlideJudge(curve)
    before = judge.judge(mean + shift, 0.0, 3 * DOF_UM, DOF_UM / 2)
    for known_um in (-0.2, 0.1, 0.3):
        seen, _, _ = curve.at(known_um)
        judge.learn(seen + shift, known_um, 0.05)
    after = judge.judge(mean + shift, 0.0, 3 * DOF_UM, DOF_UM / 2)
    assert abs(after.offset_um - height) < 0.1 * DOF_UM
    assert after.sigma_um < before.sigma_um


def test_the_probability_of_being_within_reach_is_that_of_the_posterior(curve: AxialCurve) -> None:
    judge = SlideJudge(curve)
    in_focus, far = (curve.at(z)[0] for z in (0.0, 2.0 * DOF_UM))
    assert judge.judge(in_focus, 0.0, DOF_UM, DOF_UM / 2).within > 0.7
    assert judge.judge(in_focus, 0.0, 0.3 * DOF_UM, DOF_UM / 2).within > 0.93  # the prediction alone: 0.90
    assert judge.judge(far, 0.0, DOF_UM, DOF_UM / 2).within < 0.1
    assert judge.judge(in_focus, 0.0, DOF_UM, 100 * DOF_UM).within == pytest.approx(1.0)


@pytest.fixture(scope="module")
def surveyed(curve: AxialCurve) -> tuple[Microscope, Survey, tuple[float, float], float]:
    """A slide nobody has calibrated with, its survey, one of its fields, and where that is sharpest."""
    scope = Microscope(load_settings(None, [*SMALL, "seed=33"]))
    fields = scope.places(60)
    known = survey(scope, fields, FocusSection(), OPTICS, curve=curve)
    place = survey_places(fields, 1)[0][0]
    scope.go_to(*place)
    found = focus_field(scope, known.surface.predict(*place), replace(known.view, judge=None), FocusSection(), OPTICS)
    assert found.peak is not None
    return scope, known, place, found.peak.z_um


def test_the_survey_hands_on_by_how_much_heights_err(
    surveyed: tuple[Microscope, Survey, tuple[float, float], float], curve: AxialCurve
) -> None:
    _, known, _, _ = surveyed
    assert known.view.height_um == curve.height_um > 0


def test_one_picture_alone_settles_a_good_prediction_of_a_known_slide(
    surveyed: tuple[Microscope, Survey, tuple[float, float], float],
) -> None:
    scope, known, place, best_um = surveyed
    scope.go_to(*place)
    done = focus_field(scope, Prediction(best_um, 0.12 * DOF_UM), known.view, FocusSection(), OPTICS)
    assert (done.outcome, done.result.reason, done.result.exposures) == (Outcome.USABLE, "judged", 1)


@pytest.mark.parametrize(("off_dof", "most"), [(0.0, 3), (0.2, 3), (-0.8, 4), (0.8, 4)])
def test_few_pictures_settle_a_good_prediction_and_show_the_way_from_a_bad_one(
    surveyed: tuple[Microscope, Survey, tuple[float, float], float], off_dof: float, most: int
) -> None:
    scope, known, place, best_um = surveyed
    scope.go_to(*place)
    sigma_um = max(0.3, abs(off_dof) / 1.5) * DOF_UM
    prediction = Prediction(best_um + off_dof * DOF_UM, sigma_um)
    done = focus_field(scope, prediction, known.view, FocusSection(), OPTICS)
    assert done.outcome is Outcome.USABLE
    assert done.result.reason in {"judged", "template"}
    assert done.result.exposures <= most
    assert done.frame is not None
    assert abs(scope.truths[done.frame.frame_id].off_um) <= DOF_UM / 2


@pytest.mark.parametrize("off_dof", [-1.8, -1.3, -0.3, 0.0, 0.3, 1.3, 1.8])
def test_three_frames_settle_a_good_prediction_without_the_judge_and_are_not_fooled_by_a_bad_one(
    surveyed: tuple[Microscope, Survey, tuple[float, float], float], off_dof: float
) -> None:
    scope, known, place, best_um = surveyed
    scope.go_to(*place)
    expected = Prediction(best_um + off_dof * DOF_UM, 0.5 * DOF_UM)
    heights = [expected.z_um + n * APART_DOF * DOF_UM for n in (-1, 0, 1)]
    frames = [scope.expose_at(z) for z in heights]
    found = settle_frames(frames, heights, expected, replace(known.view, judge=None), FocusSection(), OPTICS)
    if abs(off_dof) > 1:
        assert isinstance(found, Seen)
        return
    assert isinstance(found, Focused)
    assert found.frame is not None
    assert abs(scope.truths[found.frame.frame_id].off_um) <= DOF_UM / 2
    assert found.witness is not None
    assert abs(found.witness.z_um - best_um) <= 0.2 * DOF_UM


@pytest.mark.parametrize("off_dof", [-1.8, 1.8])
def test_what_three_pictures_leave_open_is_bracketed(
    surveyed: tuple[Microscope, Survey, tuple[float, float], float], off_dof: float
) -> None:
    scope, known, place, best_um = surveyed
    scope.go_to(*place)
    prediction = Prediction(best_um + off_dof * DOF_UM, 1.2 * DOF_UM)
    done = focus_field(scope, prediction, known.view, FocusSection(), OPTICS)
    assert done.outcome is Outcome.USABLE
    assert done.result.exposures <= 6
    assert done.frame is not None
    assert abs(scope.truths[done.frame.frame_id].off_um) <= DOF_UM / 2


@pytest.mark.parametrize("judging", [True, False])
@pytest.mark.parametrize("off_dof", [-0.4, 0.0, 0.4])
def test_exact_goes_on_until_the_frame_is_sharpest(
    surveyed: tuple[Microscope, Survey, tuple[float, float], float], off_dof: float, judging: bool
) -> None:
    """Where fast would keep the first frame: it lies within half a depth of field."""
    scope, known, place, best_um = surveyed
    scope.go_to(*place)
    view = known.view if judging else replace(known.view, judge=None)
    prediction = Prediction(best_um + off_dof * DOF_UM, 0.4 * DOF_UM)
    done = focus_field(scope, prediction, view, FocusSection(mode="exact"), OPTICS)
    assert done.outcome is Outcome.USABLE
    assert done.result.exposures <= FocusSection().max_exposures
    assert done.frame is not None
    assert abs(scope.truths[done.frame.frame_id].off_um) <= 0.2 * DOF_UM
    if off_dof:
        assert done.result.exposures > 1


def test_the_surface_hears_what_the_picture_said_and_not_its_own_prediction(
    surveyed: tuple[Microscope, Survey, tuple[float, float], float],
) -> None:
    scope, known, place, best_um = surveyed
    scope.go_to(*place)
    done = focus_field(scope, Prediction(best_um + 0.3 * DOF_UM, 0.25 * DOF_UM), known.view, FocusSection(), OPTICS)
    assert done.peak is not None
    assert done.result.sigma_um is not None
    assert done.peak.sigma_um > 0.0
    assert abs(done.peak.z_um - best_um) < 3 * done.peak.sigma_um + 0.1 * DOF_UM


def test_noise_alone_has_no_power_in_any_band() -> None:
    baseline = Baseline(0.008, (215.0, 220.0, 200.0))
    bands = measure_bands(frame(bayer(clear(), np.random.default_rng(3))), baseline)
    assert np.abs(bands.power / bands.doubt).max() < 6.0
    assert bands.contrast < 4.0


def test_the_curve_holds_by_how_much_heights_err(stacks: list[Stack], curve: AxialCurve) -> None:
    """The twin's err by 0.08 µm; then frames as if taken a little above or below where they were."""
    assert 0.05 < curve.height_um < 0.14
    rng = np.random.default_rng(5)
    shaken = [
        Stack(
            stack.offset_um,
            np.stack(
                [
                    np.interp(stack.offset_um + rng.normal(0.0, 0.25, stack.offset_um.size), stack.offset_um, feature)
                    for feature in stack.features.T
                ],
                axis=1,
            ),
        )
        for stack in stacks
    ]
    assert learn_curve(shaken, OPTICS).height_um > 1.3 * curve.height_um


def test_too_few_fields_make_no_curve(stacks: list[Stack]) -> None:
    with pytest.raises(ValueError, match="at least 6 fields, not 5"):
        learn_curve(stacks[:5], OPTICS)


def test_a_curve_survives_the_disk(curve: AxialCurve, tmp_path: Path) -> None:
    path = tmp_path / "state" / "curve.npz"
    assert load_curve(path, OPTICS) is None
    save_curve(path, curve)
    held = load_curve(path, OPTICS)
    assert held is not None
    np.testing.assert_allclose(held.mean, curve.mean, rtol=1e-5, atol=1e-5)
    assert (held.temper, held.height_um) == (curve.temper, curve.height_um)
    features = curve.at(0.5)[0]
    for one, other in zip(
        vars(SlideJudge(curve).judge(features, 0.0, 1.0, 1.0)).values(),
        vars(SlideJudge(held).judge(features, 0.0, 1.0, 1.0)).values(),
        strict=True,
    ):
        assert one == pytest.approx(other, abs=1e-3)


def test_a_curve_of_other_optics_or_a_damaged_one_is_refused_with_its_remedy(curve: AxialCurve, tmp_path: Path) -> None:
    path = tmp_path / "curve.npz"
    save_curve(path, curve)
    with pytest.raises(SettingsError, match=r"measured at NA 0\.5 and 0\.293"):
        load_curve(path, FocusOptics(0.75, 0.1465))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(SettingsError, match="cannot be read") as refused:
        load_curve(path, OPTICS)
    assert "calibrate focus" in refused.value.remedy
    save_curve(path, replace(curve, mean=curve.mean[:, :-1]))
    with pytest.raises(SettingsError, match="not of this version"):
        load_curve(path, OPTICS)
