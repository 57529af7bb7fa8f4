"""Focus on twin slides with true tilt, relief, backlash and noise, in frames of a quarter of the size. The full measure
is `cytoscan bench focus`."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.cli.bench_focus import run_over
from appliance.cli.focus_methods.ours import ours
from appliance.records import Outcome
from appliance.scan.focus.field import focus_field
from appliance.scan.focus.measure import measure
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.focus.survey import survey
from appliance.settings import FocusSection
from drivers.twin.settings import load_settings
from drivers.twin.virtual import FieldShelf

from .microscope import Microscope

FOCUS = FocusSection(survey_points=5, bracket_step_dof=0.8, keep_within_dof=0.3, max_exposures=8)
SMALL = ["camera.width_px=960", "camera.height_px=608", "slide.clutter.dust_per_mm2=0"]


@pytest.mark.parametrize(("content", "magnification"), [("serous", 450), ("sputum", 900)])
def test_fields_of_a_twin_slide_are_kept_in_focus(content: str, magnification: int) -> None:
    chosen = [f"slide.content={content}", f"optics.magnification={magnification}", "seed=11", *SMALL]
    twin = load_settings(None, chosen)
    optics = FocusOptics(twin.optics.aperture, twin.optics.scale_um)
    course = run_over(FieldShelf(twin), {"ours": ours(FOCUS, None)}, 8, FOCUS, optics)["ours"]
    seen = [visit for visit in course.visits if not visit.blank]
    offs = np.abs([visit.off_um for visit in seen if visit.off_um is not None])
    exposures = sum(visit.exposures for visit in course.visits)
    assert len(course.visits) == 8
    assert len(seen) - len(offs) <= 1
    assert len(offs) >= 6
    assert float((offs <= optics.dof_um / 2).mean()) >= 0.9
    assert float(offs.mean()) < 0.25 * optics.dof_um
    assert exposures / len(course.visits) <= 4.5
    assert course.spent().exposures - exposures <= 60
    assert not any(visit.blank and visit.exposures > 3 for visit in course.visits)


@pytest.mark.parametrize(
    ("content", "magnification", "seed"), [("empty", 450, 5), ("ink", 450, 5), ("ink", 450, 6), ("ink", 900, 7)]
)
def test_a_twin_slide_without_specimen_is_not_chased(content: str, magnification: int, seed: int) -> None:
    """Ink leaves gaps, and what frays from it into a gap is no specimen."""
    chosen = [f"slide.content={content}", f"optics.magnification={magnification}", f"seed={seed}", *SMALL]
    scope = Microscope(load_settings(None, chosen))
    optics = FocusOptics(scope.settings.optics.aperture, scope.settings.optics.scale_um)
    places = scope.places(8)
    found = survey(scope, places, FOCUS, optics)
    assert len(scope.truths) < 80
    assert content == "ink" or found.reason == "no specimen"
    done = []
    for x_um, y_um in places:
        scope.go_to(x_um, y_um)
        done.append(focus_field(scope, found.surface.predict(x_um, y_um, scope.now_s()), found.view, FOCUS, optics))
    assert {field.outcome for field in done} <= {Outcome.BLANK, Outcome.FAILED}
    obscured = [field for field in done if field.reason == "obscured"]
    assert len(obscured) >= 6 if content == "ink" else not obscured
    assert all(field.result.exposures == 2 for field in done)


def test_sharpness_of_a_thick_specimen_is_greatest_where_its_gradient_is() -> None:
    """Differences of neighbouring samples, which weigh the finest detail most, are so further up."""
    chosen = ["slide.content=serous", "optics.magnification=450", "optics.na=0.75", "seed=959", *SMALL]
    scope = Microscope(load_settings(None, chosen))
    dof_um = FocusOptics(scope.settings.optics.aperture, scope.settings.optics.scale_um).dof_um
    peaks = []
    for x_um, y_um in scope.places(9)[1:5]:
        scope.go_to(x_um, y_um)
        around_um = scope.settings.reference_z_um
        around_um -= scope.truths[scope.expose_at(around_um).frame_id].off_um
        frames = [scope.expose_at(around_um + step * dof_um) for step in np.arange(-1.2, 1.3, 0.3)]
        off = np.array([scope.truths[frame.frame_id].off_um for frame in frames]) / dof_um
        curve = np.polynomial.Polynomial.fit(off, [float(measure(frame).energy.sum()) for frame in frames], 4)
        fine = np.linspace(-1.0, 1.0, 201)
        peaks.append(float(fine[curve(fine).argmax()]))
    assert float(np.abs(peaks).mean()) < 0.08
