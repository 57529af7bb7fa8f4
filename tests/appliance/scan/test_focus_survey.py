"""The survey: a surface from few exposures, or a clear word that there is nothing to scan."""

from __future__ import annotations

import pytest

from appliance.records import Outcome
from appliance.scan.focus.survey import Survey, survey
from appliance.settings import FocusSection

from .painted import DOF_UM, OPTICS, PaintedSlide, cells, clear, inked

SETTINGS = FocusSection(survey_points=5, bracket_step_dof=0.8, max_exposures=8)
PLACES = [(38_000.0 + 600 * col, 13_000.0 + 400 * row) for row in range(-5, 6) for col in range(-6, 7)]
MOST_PER_FIELD = 1.4  # of a slide of 60 fields, so that survey and 3.6 exposures a field stay within 5


def tilted(x_um: float, y_um: float) -> float:
    return 3014.0 + 0.6e-3 * (x_um - 38_000) - 0.8e-3 * (y_um - 13_000)


def surveyed(slide: PaintedSlide) -> Survey:
    return survey(slide, PLACES, SETTINGS, OPTICS)


@pytest.mark.parametrize("offset_um", [-45.0, 0.0, 8.0, 45.0])
def test_a_tilted_slide_is_learned_wherever_it_lies(offset_um: float) -> None:
    slide = PaintedSlide([(cells(), offset_um)], tilted)
    found = surveyed(slide)
    assert found.found
    assert found.reason == ""
    assert found.exposures == len(slide.log) <= MOST_PER_FIELD * 60
    errors = [found.surface.predict(x, y).z_um - tilted(x, y) - offset_um for x, y in PLACES]
    assert max(map(abs, errors)) < 0.6 * DOF_UM
    assert len([p for p in found.points if p.outcome is Outcome.USABLE]) == 5


def test_it_ends_with_what_the_fields_need() -> None:
    found = surveyed(PaintedSlide([(cells(), 0.0)], tilted))
    assert found.view.baseline.gain == pytest.approx(0.008, rel=0.1)
    assert 0.7 < found.view.width.um / DOF_UM < 4.0
    assert found.view.width.spread < 0.3
    places = [place for place, _ in found.settled]
    assert places == [(p.x_um, p.y_um) for p in found.points if p.outcome is Outcome.USABLE]
    assert all(done.frame is not None for _, done in found.settled)


def test_blank_places_are_skipped_for_their_neighbours() -> None:
    slide = PaintedSlide([(cells(), 0.0)], tilted, blank=lambda x, y: abs(x - 38_000) < 100 or x > 41_000)
    found = surveyed(slide)
    assert found.found
    good = [p for p in found.points if p.outcome is Outcome.USABLE]
    assert len(good) >= 3
    assert all(p.z_um is not None and abs(p.z_um - tilted(p.x_um, p.y_um)) < 0.4 * DOF_UM for p in good)
    assert any(p.outcome is Outcome.BLANK for p in found.points)


def test_an_empty_slide_has_no_specimen() -> None:
    slide = PaintedSlide([(clear(), 0.0)])
    found = surveyed(slide)
    assert not found.found
    assert found.reason == "no specimen"
    assert len(slide.log) < 60
    low, high = SETTINGS.reference_z_um - SETTINGS.search_um, SETTINGS.reference_z_um + SETTINGS.search_um
    assert low <= min(slide.heights) <= max(slide.heights) <= high
    assert found.surface.predict(38_000, 13_000).z_um == SETTINGS.reference_z_um


def test_a_slide_of_ink_is_obscured() -> None:
    slide = PaintedSlide([(inked(clear()), 0.0)])
    found = surveyed(slide)
    assert not found.found
    assert found.reason == "obscured"
    assert len(slide.log) < 60


def test_the_same_slide_is_surveyed_the_same_way() -> None:
    one, two = (PaintedSlide([(cells(), 0.0)], tilted) for _ in range(2))
    surveyed(one)
    surveyed(two)
    assert one.log == two.log


def test_a_plan_of_one_field() -> None:
    found = survey(PaintedSlide([(cells(), 0.0)], tilted), [(38_000.0, 13_000.0)], SETTINGS, OPTICS)
    assert found.found
    assert abs(found.surface.predict(38_000, 13_000).z_um - 3014.0) < 0.4 * DOF_UM
