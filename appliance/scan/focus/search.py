"""The exposures of one field: bounded in number and height, and what they say together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from appliance.records import FocusResult, Outcome
from appliance.scan.focus.bands import bands_of
from appliance.scan.focus.baseline import Baseline
from appliance.scan.focus.curve import Shot, are_specks, is_empty, is_faint, sharpness_curve, shoot
from appliance.scan.focus.estimate import Peak, Sample, Width, fit_peak, missing_sample, template_peak
from appliance.scan.focus.judge import Judgement, SlideJudge
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.focus.overlap import laid_over
from appliance.scan.focus.surface import Prediction
from appliance.settings import FocusSection
from drivers.camera.frame import Frame

_REACH_DOF = 3.0
_REACH_SIGMA = 4.0
_IN_FOCUS_DOF = 0.5
_EXACT_DOF = 0.07
"""What "exact" keeps a frame within."""
_FIT_FROM = 3
_LEAST_DOF = 0.05
"""Frames nearer together than this show the same."""
_TRUSTED = ("bracketed", "two peaks", "judged", "template")


class FocusDevice(Protocol):
    """Stage and camera over the field that is to be focused."""

    def now_s(self) -> float:
        """Seconds by a steady clock: heights drift."""

    def expose_at(self, z_um: float) -> Frame:
        """A complete, fresh frame at this height, approached from below."""


@dataclass(frozen=True)
class Focused:
    """What became of a field.

    frame: the kept one; None when none is worth keeping. reason: why blank or failed, empty when usable. peak: where
    the specimen is sharpest, when it was found; it may differ from the kept frame's height by the tolerance.
    witness: the same by frames alone, compared or bracketed; None where only the judge knows.
    """

    result: FocusResult
    frame: Frame | None
    outcome: Outcome
    reason: str
    peak: Peak | None = None
    witness: Peak | None = None


@dataclass(frozen=True)
class View:
    """What is known before a field is looked at: the baseline, and the width of focus curves of this slide.

    evenness: 0 finds the height with most detail in all; towards 1, strong objects count no more than faint ones.
    inked: most of the slide lies under ink. judge: tells the height of a single frame; None where the device cannot.
    height_um: standard deviation of heights around those asked for; 0 where it was not measured.
    """

    baseline: Baseline
    width: Width
    evenness: float = 0.0
    inked: bool = False
    judge: SlideJudge | None = None
    height_um: float = 0.0

    def on_stage(self, sigma_um: float) -> float:
        """Deviation of a peak from heights asked for, where it is known to sigma_um from where a frame really is."""
        return math.hypot(sigma_um, self.height_um)


class Search:
    """The exposures of one field, bounded in number and height."""

    def __init__(
        self, device: FocusDevice, prediction: Prediction, view: View, settings: FocusSection, optics: FocusOptics
    ) -> None:
        self._device = device
        self._view = view
        self.most = settings.max_exposures
        self.height_um = view.height_um
        self.optics = optics
        self.prediction = Prediction(prediction.z_um, view.on_stage(prediction.sigma_um))
        self.width = view.width
        self.dof_um = optics.dof_um
        self.step_um = settings.bracket_step_dof * optics.dof_um
        self.least_um = _LEAST_DOF * optics.dof_um
        self.exact = settings.mode == "exact"
        self.keep_um = min(settings.keep_within_dof, _EXACT_DOF if self.exact else math.inf) * optics.dof_um
        reach = min(max(_REACH_DOF * optics.dof_um, _REACH_SIGMA * prediction.sigma_um), settings.search_um)
        self.low_um = max(prediction.z_um - reach, settings.min_z_um)
        self.high_um = min(prediction.z_um + reach, settings.max_z_um)
        self.shots: list[Shot] = []
        self._before: Shot | None = None

    def resume(self, shots: Sequence[Shot]) -> None:
        """Go on with shots of a visit before, on which new ones are laid; none means to begin anew."""
        self.shots[:] = shots
        self._before = shots[0] if shots else None

    @property
    def left(self) -> int:
        """Exposures that may still be taken."""
        return self.most - len(self.shots)

    def expose(self, z_um: float) -> Shot:
        """One more shot, as near to z_um as may be."""
        z_um = min(max(z_um, self.low_um), self.high_um)
        shot = shoot(self._device.expose_at(z_um), z_um, self._view.baseline, self.optics.um_per_px)
        if self._before is not None:
            shot = laid_over(self._before, shot, self._view.baseline, self.optics.um_per_px)
        self.shots.append(shot)
        return shot

    def curve(self) -> list[Sample]:
        """Sharpness of all shots."""
        return sharpness_curve(self.shots, self._view.baseline, self._view.evenness)

    def empty(self) -> bool:
        """Whether no shot shows enough to be focused on."""
        return is_empty(self.shots, inked=self._view.inked)

    def hints(self) -> bool:
        """Whether there may be a little to focus on all the same: some structure, and no ink whose edges would fray."""
        structured = any(shot.content.structured.any() for shot in self.shots)
        return structured and not any(shot.content.hidden for shot in self.shots)

    def faint(self) -> bool:
        """Whether no shot shows more than noise might."""
        return is_faint(self.shots, self._view.baseline)

    def strays(self, z_um: float) -> bool:
        """Whether only specks would be followed to a height where the specimen is not expected: dirt on the glass."""
        limit_um = max(self.dof_um, _REACH_SIGMA * self.prediction.sigma_um)
        return abs(z_um - self.prediction.z_um) > limit_um and are_specks(self.shots)

    def peak(self) -> Peak:
        """The peak that the shots so far lie on; at least three."""
        return fit_peak(self.curve(), self.width.um, self._view.height_um)

    def template(self, expected: Peak | None) -> Peak:
        """The peak by two shots or more, and by what else says where it is; by the shots alone where that is None."""
        return template_peak(self.curve(), self.width, expected, self._view.height_um)

    def missing(self) -> float | None:
        """Height of the shot that the curve still lacks."""
        curve = self.curve()
        expected = fit_peak(curve, self.width.um).z_um if len(curve) >= _FIT_FROM else None
        return missing_sample(curve, self.step_um, self.low_um, self.high_um, expected)

    def hidden(self) -> float:
        """Largest share of the field that lay under ink in any shot."""
        return max(shot.content.hidden for shot in self.shots)

    def judged(self, shot: Shot, within_um: float) -> Judgement:
        """What one shot says of its own height, the prediction considered; nothing where there is no judge."""
        expected_um = shot.z_um - self.prediction.z_um
        if self._view.judge is None:
            return Judgement(expected_um, self.prediction.sigma_um, 0.0, familiar=False)
        features = bands_of(shot.planes, self._view.baseline).features()
        return self._view.judge.judge(features, expected_um, self.prediction.sigma_um, within_um)

    def nearest(self, z_um: float) -> Shot:
        """The shot taken nearest to a height."""
        return min(self.shots, key=lambda shot: abs(shot.z_um - z_um))

    def without(self, outcome: Outcome, reason: str) -> Focused:
        """The field's end without a focus: the frame at the predicted height, if it is worth keeping."""
        shot = self.nearest(self.prediction.z_um)
        result = FocusResult(shot.z_um, None, 0.0, reason, len(self.shots), self.prediction.z_um)
        return Focused(result, shot.frame if outcome is Outcome.BLANK else None, outcome, reason)

    def kept(self, shot: Shot, off_um: float, peak: Peak, witness: Peak | None = None) -> Focused:
        """The field's end with one shot, which is off_um from best focus; failed if that is not surely in focus."""
        good = peak.reason in _TRUSTED and off_um <= _IN_FOCUS_DOF * self.dof_um
        result = FocusResult(shot.z_um, off_um, peak.confidence, peak.reason, len(self.shots), self.prediction.z_um)
        if good:
            return Focused(result, shot.frame, Outcome.USABLE, "", peak, witness)
        return Focused(result, None, Outcome.FAILED, f"not focused: {peak.reason}", None)
