"""Focus one field: look, bracket from below, fit, keep the frame that is near enough or take one that is.

Nothing is searched where there is nothing stained to see, and nothing beyond what the prediction allows; a field that
cannot be focused says why. Heights are as commanded; the device arrives at each from below.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from appliance.records import FocusResult, Outcome
from appliance.scan.focus.baseline import Baseline
from appliance.scan.focus.curve import Shot, is_empty, is_faint, sharpness_curve, shoot
from appliance.scan.focus.estimate import Peak, Sample, fit_peak, missing_sample
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.focus.surface import Prediction
from appliance.settings import FocusSection
from drivers.camera.frame import Frame

HIDDEN = 0.5
"""Share of a field under ink from which nothing is said about the rest of it."""
_REACH_DOF = 3.0
_REACH_SIGMA = 4.0
_IN_FOCUS_DOF = 0.5
_FIT_FROM = 3
_FLAT = "not focused: flat"
_TRUSTED = ("bracketed", "two peaks")


class FocusDevice(Protocol):
    """Stage and camera over the field that is to be focused."""

    def expose_at(self, z_um: float) -> Frame:
        """A complete, fresh frame at this height, approached from below."""


@dataclass(frozen=True)
class Focused:
    """What became of a field.

    frame: the kept one; None when none is worth keeping. reason: why blank or failed, empty when usable. peak: where
    the specimen is sharpest, when it was found; it may differ from the kept frame's height by the tolerance.
    """

    result: FocusResult
    frame: Frame | None
    outcome: Outcome
    reason: str
    peak: Peak | None = None


@dataclass(frozen=True)
class View:
    """What is known before a field is looked at: the baseline, and how wide focus curves of this slide are.

    evenness: 0 finds the height with most detail in all; towards 1, strong objects count no more than faint ones.
    inked: most of the slide lies under ink.
    """

    baseline: Baseline
    width_um: float
    evenness: float = 0.0
    inked: bool = False


class _Search:
    """The exposures of one field, bounded in number and height."""

    def __init__(
        self, device: FocusDevice, prediction: Prediction, view: View, settings: FocusSection, optics: FocusOptics
    ) -> None:
        self._device = device
        self._view = view
        self._most = settings.max_exposures
        self._um_per_px = optics.um_per_px
        self.predicted_um = prediction.z_um
        self.dof_um = optics.dof_um
        self.step_um = settings.bracket_step_dof * optics.dof_um
        self.keep_um = settings.keep_within_dof * optics.dof_um
        reach = min(max(_REACH_DOF * optics.dof_um, _REACH_SIGMA * prediction.sigma_um), settings.search_um)
        self.low_um = max(prediction.z_um - reach, settings.min_z_um)
        self.high_um = min(prediction.z_um + reach, settings.max_z_um)
        self.shots: list[Shot] = []

    @property
    def left(self) -> int:
        return self._most - len(self.shots)

    def expose(self, z_um: float) -> Shot:
        z_um = min(max(z_um, self.low_um), self.high_um)
        shot = shoot(self._device.expose_at(z_um), z_um, self._view.baseline, self._um_per_px)
        self.shots.append(shot)
        return shot

    def curve(self) -> list[Sample]:
        return sharpness_curve(self.shots, self._view.baseline, self._view.evenness)

    def empty(self) -> bool:
        return is_empty(self.shots, inked=self._view.inked)

    def faint(self) -> bool:
        return is_faint(self.shots, self._view.baseline)

    def peak(self) -> Peak:
        return fit_peak(self.curve(), self._view.width_um)

    def missing(self) -> float | None:
        curve = self.curve()
        expected = fit_peak(curve, self._view.width_um).z_um if len(curve) >= _FIT_FROM else None
        return missing_sample(curve, self.step_um, self.low_um, self.high_um, expected)

    def nearest(self, z_um: float) -> Shot:
        return min(self.shots, key=lambda shot: abs(shot.z_um - z_um))

    def without(self, outcome: Outcome, reason: str) -> Focused:
        """The field's end without a focus: the frame at the predicted height, if it is worth keeping."""
        shot = self.nearest(self.predicted_um)
        result = FocusResult(shot.z_um, None, 0.0, reason, len(self.shots), self.predicted_um)
        return Focused(result, shot.frame if outcome is Outcome.BLANK else None, outcome, reason)

    def kept(self, peak: Peak) -> Focused:
        """The frame nearest to the peak, or failed if it is not surely in focus."""
        shot = self.nearest(peak.z_um)
        off = math.hypot(peak.sigma_um, shot.z_um - peak.z_um)
        good = peak.reason in _TRUSTED and off <= _IN_FOCUS_DOF * self.dof_um
        result = FocusResult(shot.z_um, off, peak.confidence, peak.reason, len(self.shots), self.predicted_um)
        if good:
            return Focused(result, shot.frame, Outcome.USABLE, "", peak)
        return Focused(result, None, Outcome.FAILED, f"not focused: {peak.reason}", None)


def focus_field(
    device: FocusDevice, prediction: Prediction, view: View, settings: FocusSection, optics: FocusOptics
) -> Focused:
    """Focus the field under the objective, in at most `settings.max_exposures` exposures.

    Raises whatever the device raises; never moves outside the reach around the prediction nor the settings' bounds.
    """
    search = _Search(device, prediction, view, settings, optics)
    first = search.expose(prediction.z_um - search.step_um)
    if first.content.hidden > HIDDEN or search.empty():
        search.expose(prediction.z_um)
        if max(shot.content.hidden for shot in search.shots) > HIDDEN:
            return search.without(Outcome.FAILED, "obscured")
        if search.empty():
            return search.without(Outcome.BLANK, "blank")
    else:
        search.expose(prediction.z_um)
    while search.left > 0 and (z_um := search.missing()) is not None:
        search.expose(z_um)
    return _finish(search)


def _finish(search: _Search) -> Focused:
    """Fit; take one more exposure at the optimum while none is near enough to it."""
    peak = search.peak()
    while search.left > 0 and peak.reason not in {"flat", "edge"} and _too_far(search, peak):
        search.expose(peak.z_um)
        peak = search.peak()
    if peak.reason == "flat":
        return search.without(Outcome.BLANK, "blank") if search.faint() else search.without(Outcome.FAILED, _FLAT)
    return search.kept(peak)


def _too_far(search: _Search, peak: Peak) -> bool:
    return abs(search.nearest(peak.z_um).z_um - peak.z_um) > search.keep_um
