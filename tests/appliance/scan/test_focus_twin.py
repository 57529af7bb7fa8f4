"""Focus on twin slides with true tilt, relief, backlash and noise, in frames of a quarter of the size. The full measure
is `python -m tests.appliance.scan.focus_bench`."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.records import Outcome
from appliance.scan.focus.field import focus_field
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.focus.survey import survey
from appliance.settings import FocusSection
from drivers.twin.settings import load_settings

from .focus_bench import measure_slide
from .microscope import Microscope

FOCUS = FocusSection(survey_points=5, bracket_step_dof=0.8, keep_within_dof=0.3, max_exposures=8)
SMALL = ["camera.width_px=960", "camera.height_px=608", "slide.clutter.dust_per_mm2=0"]


@pytest.mark.parametrize(("content", "magnification"), [("serous", 450), ("sputum", 900)])
def test_fields_of_a_twin_slide_are_kept_in_focus(content: str, magnification: int) -> None:
    chosen = [f"slide.content={content}", f"optics.magnification={magnification}", "seed=11", *SMALL]
    report = measure_slide(load_settings(None, chosen), 8, FOCUS)
    assert report.fields == 8
    assert report.failed + report.missed <= 1
    assert len(report.offs_um) >= 6
    offs = np.abs(report.offs_um)
    assert float((offs <= report.dof_um / 2).mean()) >= 0.9
    assert float(offs.mean()) < 0.25 * report.dof_um
    assert report.exposures / report.fields <= 4.5
    assert report.survey_exposures <= 60
    assert report.blank_chased == 0


@pytest.mark.parametrize(
    ("content", "magnification", "seed"), [("empty", 450, 5), ("ink", 450, 5), ("ink", 450, 6), ("ink", 900, 7)]
)
def test_a_twin_slide_without_specimen_is_not_chased(content: str, magnification: int, seed: int) -> None:
    """Ink leaves gaps, and what frays from it into a gap is no specimen."""
    chosen = [f"slide.content={content}", f"optics.magnification={magnification}", f"seed={seed}", *SMALL]
    scope = Microscope(load_settings(None, chosen))
    optics = FocusOptics(scope.settings.optics.aperture, scope.settings.optics.scale_um)
    places = [(f.x_um, f.y_um) for f in scope.plan(8).fields]
    found = survey(scope, places, FOCUS, optics)
    assert len(scope.truths) < 80
    assert content == "ink" or found.reason == "no specimen"
    done = []
    for x_um, y_um in places:
        scope.go_to(x_um, y_um)
        done.append(focus_field(scope, found.surface.predict(x_um, y_um), found.view, FOCUS, optics))
    assert {field.outcome for field in done} <= {Outcome.BLANK, Outcome.FAILED}
    obscured = [field for field in done if field.reason == "obscured"]
    assert len(obscured) >= 6 if content == "ink" else not obscured
    assert all(field.result.exposures == 2 for field in done)
