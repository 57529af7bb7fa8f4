"""Learn the focus surface at a few places before the scan, coarse to fine, or find that there is no specimen.

The first height is searched over the whole allowed range, at a place where one look shows something; each next one only
as far as the surface so far leaves open.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from appliance.records import Outcome
from appliance.scan.focus.axial import AxialCurve
from appliance.scan.focus.baseline import Baseline, learn_baseline
from appliance.scan.focus.content import look
from appliance.scan.focus.estimate import fit_peak, usual_width
from appliance.scan.focus.field import first_height_um, focus_field
from appliance.scan.focus.frames import HIDDEN, teach
from appliance.scan.focus.judge import SlideJudge
from appliance.scan.focus.measure import Measurement, measure
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.focus.places import Place, survey_places
from appliance.scan.focus.search import FocusDevice, Focused, View
from appliance.scan.focus.surface import FocusSurface, Observation, Prediction
from appliance.scan.focus.sweep import WIDTH_DOF, SweepRange, coarse_sample, is_structured, next_height, significant
from appliance.settings import FocusSection

USUAL_WIDTH_DOF = 2.5
"""Full width of a focus curve. Measured on the twin: 2.1 over cytospins at NA 0.50, 3 to 4.7 over smears at 0.75."""
STEP_DOF = 4.0
"""Of the coarse sweep, whose curve is eight depths of field wide."""
_FIRST_RANGE = 1 / 3
"""Share of the search range that is swept first."""
_SWEEP_SIGMA_DOF = 2.0
"""A height less certain than this is swept for; the bracket of a field finds the others."""
_SWEEP_SIGMAS = 2.5
_DOUBTFUL_SWEEPS = 2
"""Places that show nothing at the reference height, at which the whole range is searched all the same."""
_FIT_FROM = 3


class SurveyDevice(FocusDevice, Protocol):
    """Stage and camera over the slide."""

    def go_to(self, x_um: float, y_um: float, z_um: float | None = None) -> None:
        """Move in X and Y, and to the height of the next exposure where it is known; approached from below."""


@dataclass(frozen=True)
class SurveyPoint:
    """One place visited: what was found there. z_um: None where nothing could be focused."""

    x_um: float
    y_um: float
    z_um: float | None
    outcome: Outcome
    reason: str


@dataclass(frozen=True)
class Survey:
    """found: whether there is a specimen to scan. reason: why not: "no specimen" or "obscured".

    view: baseline and curve width for the fields to come. exposures: taken in all. settled: fields that need not be
    visited again, as they were focused.
    """

    found: bool
    reason: str
    surface: FocusSurface
    view: View
    points: tuple[SurveyPoint, ...]
    exposures: int
    settled: tuple[tuple[Place, Focused], ...] = ()


def survey(
    device: SurveyDevice,
    fields: Sequence[Place],
    settings: FocusSection,
    optics: FocusOptics,
    *,
    evenness: float = 0.0,
    curve: AxialCurve | None = None,
) -> Survey:
    """Visit `settings.survey_points` of the planned fields. evenness: see `View`. curve: the device's, if it is known.

    Raises whatever the device raises, and ValueError without fields. A survey of the same fields on the same slide
    takes the same way.
    """
    return _Surveyor(device, settings, optics, evenness, curve).run(survey_places(fields, settings.survey_points))


class _Surveyor:
    """One survey in progress."""

    def __init__(
        self,
        device: SurveyDevice,
        settings: FocusSection,
        optics: FocusOptics,
        evenness: float,
        curve: AxialCurve | None,
    ) -> None:
        self._device = device
        self._exposures = 0
        self._settings = settings
        self._optics = optics
        self._evenness = evenness
        self._judge = None if curve is None else SlideJudge(curve)
        self._surface = FocusSurface(settings.reference_z_um, settings.search_um * _FIRST_RANGE)
        self._baseline = Baseline(gain=0.0, clear=(255.0, 255.0, 255.0))
        self._widths: list[float] = []
        self._points: list[SurveyPoint] = []
        self._seen: list[list[Measurement]] = []
        self._settled: list[tuple[Place, Focused]] = []

    def run(self, groups: Sequence[Sequence[Place]]) -> Survey:
        first = self._first([group[0] for group in groups])
        if first is not None:
            here, left = first, [group for group in groups if first not in group]
            while left:
                here, *_ = nearest = min(left, key=lambda group: math.dist(group[0], here))
                left.remove(nearest)
                self._visit_one_of(nearest)
        return self._result(found=first is not None)

    def _first(self, places: Sequence[Place]) -> Place | None:
        """The first place that shows something and can be focused, searched for over the whole range.

        Where one look at the reference height shows nothing, other places are tried first.
        """
        doubtful = []
        for place in places:
            self._arrive(place, self._settings.reference_z_um)
            glance = self._measure(self._settings.reference_z_um)
            self._learn()
            if not is_structured(glance, self._baseline):
                doubtful.append((place, glance))
            elif self._searched(place, glance):
                return place
        for place, glance in doubtful[:_DOUBTFUL_SWEEPS]:
            self._arrive(place, self._settings.reference_z_um)
            if self._searched(place, glance):
                return place
        return None

    def _searched(self, place: Place, glance: Measurement) -> bool:
        """Whether a place can be focused anywhere within the search range. glance: what it shows in the middle."""
        reference, reach = self._settings.reference_z_um, self._settings.search_um
        near = Prediction(reference, reach * _FIRST_RANGE / _SWEEP_SIGMAS)
        prediction = self._swept(near, reference - reach, reference + reach, glance)
        return prediction is not None and self._focused(place, prediction)

    def _visit_one_of(self, group: Sequence[Place]) -> None:
        """The place, or one of its neighbours while it is blank."""
        for place in group:
            expected = self._surface.predict(*place, self._device.now_s())
            vague = expected.sigma_um > _SWEEP_SIGMA_DOF * self._optics.dof_um
            first_um = first_height_um(expected, self._view(), self._settings, self._optics)
            self._arrive(place, expected.z_um if vague else first_um)
            found = self._swept(expected, -math.inf, math.inf) if vague else expected
            if found is not None and self._focused(place, found):
                return

    def _swept(
        self, around: Prediction, lowest_um: float, highest_um: float, glance: Measurement | None = None
    ) -> Prediction | None:
        """Height to within about a depth of field, by a coarse sweep; None where nothing shows.

        glance: what the middle shows, where that is known.
        """
        step, reach = STEP_DOF * self._optics.dof_um, _SWEEP_SIGMAS * around.sigma_um
        low = max(around.z_um - reach, self._settings.min_z_um)
        high = min(around.z_um + reach, self._settings.max_z_um)
        lowest = max(lowest_um, self._settings.min_z_um) if math.isfinite(lowest_um) else low
        highest = min(highest_um, self._settings.max_z_um) if math.isfinite(highest_um) else high
        where = SweepRange(min(max(around.z_um, low), high), low, high, lowest, highest, step)
        frames = [] if glance is None else [(where.middle_um, glance)]
        samples = [coarse_sample(frame, self._baseline, z) for z, frame in frames]
        while (z_um := next_height(samples, where)) is not None:
            frames.append((z_um, self._measure(z_um)))
            samples = [coarse_sample(frame, self._baseline, z) for z, frame in frames]
        self._learn()
        samples = [coarse_sample(frame, self._baseline, z) for z, frame in frames]
        if not significant(samples):
            return None
        best = max(samples, key=lambda s: s.value)
        peak = fit_peak(samples, WIDTH_DOF * self._optics.dof_um) if len(samples) >= _FIT_FROM else None
        if peak is None or peak.reason == "flat":
            return Prediction(best.z_um, step / 2)
        return Prediction(peak.z_um, max(peak.sigma_um, self._optics.dof_um / 2))

    def _focused(self, place: Place, prediction: Prediction) -> bool:
        """Focus as a field is focused; learn from it. False where the next place should be tried."""
        field = focus_field(self._device, prediction, self._view(), self._settings, self._optics)
        self._exposures += field.result.exposures
        peak = field.peak
        self._points.append(SurveyPoint(*place, peak.z_um if peak else None, field.outcome, field.reason))
        if peak is None:
            return False
        self._widths.append(peak.width_um)
        sigma_um = self._view().on_stage(peak.sigma_um)
        self._surface.add([Observation(*place, peak.z_um, sigma_um, self._device.now_s())])
        teach(replace(self._view(), judge=self._judge), field)
        if field.outcome is Outcome.USABLE:
            self._settled.append((place, field))
        return True

    def _arrive(self, place: Place, z_um: float) -> None:
        self._device.go_to(*place, z_um)
        self._seen.append([])

    def _measure(self, z_um: float) -> Measurement:
        self._exposures += 1
        measurement = measure(self._device.expose_at(z_um))
        self._seen[-1].append(measurement)
        return measurement

    def _learn(self) -> None:
        self._baseline = learn_baseline(self._seen)

    def _view(self) -> View:
        usual = USUAL_WIDTH_DOF * self._optics.dof_um
        height_um = 0.0 if self._judge is None else self._judge.curve.height_um
        width = usual_width(self._widths, usual)
        return View(self._baseline, width, self._evenness, self._inked(), height_um=height_um)

    def _inked(self) -> bool:
        """Whether most places lay under ink when they were first looked at."""
        hidden = [look(seen[0], self._baseline, self._optics.um_per_px).hidden > HIDDEN for seen in self._seen if seen]
        return sum(hidden) > len(hidden) / 2

    def _result(self, *, found: bool) -> Survey:
        reason = "" if found else "obscured" if self._inked() else "no specimen"
        view = replace(self._view(), judge=self._judge)
        return Survey(found, reason, self._surface, view, tuple(self._points), self._exposures, tuple(self._settled))
