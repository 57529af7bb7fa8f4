"""Focus one field. One picture at the predicted height is judged; where that settles it, it is kept.

Where the judge cannot tell or is not sure enough, or there is none, the peak is bracketed from below, fitted, and the
frame kept that is near enough, or one taken that is. Nothing is searched where there is nothing stained to see, and
nothing beyond what the prediction allows; a field that cannot be focused says why. Heights are as commanded; the device
arrives from below.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from appliance.records import Outcome
from appliance.scan.focus.estimate import Peak
from appliance.scan.focus.judge import Judgement
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.focus.search import FocusDevice, Focused, Search, View
from appliance.scan.focus.surface import Prediction
from appliance.settings import FocusSection
from drivers.camera.frame import Frame

HIDDEN = 0.5
"""Share of a field under ink from which nothing is said about the rest of it."""
_FLAT = "not focused: flat"
_LOOKS, _EXACT_LOOKS = 3, 2
"""Frames that are judged before the peak is bracketed after all."""
_KEEP_DOF = 0.45
"""A frame is kept where it surely lies within this, a little less than what counts as in focus."""
_SURE = 0.98
_SURE_PREDICTION_DOF = 1.0


@dataclass(frozen=True)
class _Said:
    """What single frames say of a field. alone: where they put best focus; expected: the same, the prediction heard."""

    alone: Peak
    expected: Prediction


def focus_field(
    device: FocusDevice, prediction: Prediction, view: View, settings: FocusSection, optics: FocusOptics
) -> Focused:
    """Focus the field under the objective, in at most `settings.max_exposures` exposures.

    Raises whatever the device raises; never moves outside the reach around the prediction nor the settings' bounds.
    """
    search = Search(device, prediction, view, settings, optics)
    found = None if view.judge is None else _judged(search)
    return found if isinstance(found, Focused) else _bracketed(search, found.alone if found else None)


def first_height_um(prediction: Prediction, view: View, settings: FocusSection, optics: FocusOptics) -> float:
    """Where `focus_field` takes its first exposure."""
    below_um = settings.bracket_step_dof * optics.dof_um if view.judge is None else 0.0
    return min(max(prediction.z_um - below_um, settings.min_z_um), settings.max_z_um)


def judge_frame(
    frame: Frame, z_um: float, prediction: Prediction, view: View, settings: FocusSection, optics: FocusOptics
) -> Focused | Prediction:
    """What one frame, taken at z_um near the prediction, settles; or else where the field is to be searched.

    Needs no device: the stage may already be elsewhere.
    """
    search = Search(_Taken(frame), prediction, view, settings, optics)
    found = _look(search, z_um)
    if isinstance(found, Focused):
        return found
    return prediction if found is None else found.expected


class _Taken:
    """Stands for the device where the one exposure has been taken."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def now_s(self) -> float:
        """When it was triggered."""
        return self._frame.trigger_ns / 1e9

    def expose_at(self, z_um: float) -> Frame:  # noqa: ARG002 - where it was taken
        """The frame."""
        return self._frame


def _judged(search: Search) -> Focused | _Said | None:
    """Judge single frames, each taken where the last one said; where that does not settle it, what they say of it."""
    said: _Said | None = None
    for _ in range(_EXACT_LOOKS if search.exact else _LOOKS):
        found = _look(search, said.expected.z_um if said else search.prediction.z_um)
        if not isinstance(found, _Said):
            return found or said
        said = found
    return said


def _look(search: Search, z_um: float) -> Focused | _Said | None:
    """One more frame: what it settles or says; None where it tells nothing."""
    shot = search.expose(z_um)
    if search.hidden() > HIDDEN or search.empty():
        return _nothing(search) if search.prediction.sigma_um <= _SURE_PREDICTION_DOF * search.dof_um else None
    found = search.judged(shot, _KEEP_DOF * search.dof_um)
    if not found.familiar:
        return None
    alone = _as_peak(search, shot.z_um, found)
    off_um = math.hypot(found.offset_um, found.sigma_um)
    if off_um <= search.keep_um if search.exact else found.within >= _SURE:
        return search.kept(shot, off_um, alone)
    return _Said(alone, Prediction(shot.z_um - found.offset_um, found.sigma_um))


def _as_peak(search: Search, z_um: float, found: Judgement) -> Peak:
    """Where the frame alone, without the prediction, says that best focus is.

    The judge's posterior holds the prediction; the surface must not hear its own voice.
    """
    prior = 1 / search.prediction.sigma_um**2
    told = max(1 / found.sigma_um**2 - prior, 1e-6)
    best_um = z_um - found.offset_um
    alone_um = (best_um * (told + prior) - search.prediction.z_um * prior) / told
    return Peak(alone_um, 1 / math.sqrt(told), found.within, "judged", search.width_um)


def _bracketed(search: Search, said: Peak | None) -> Focused:
    """Expose until the peak has lower samples on both sides. said: where single frames say that it is."""
    around_um = search.prediction.z_um if said is None else said.z_um
    for start_um in (around_um - search.step_um, around_um):
        if not search.shots or abs(search.nearest(start_um).z_um - start_um) > search.step_um / 2:
            search.expose(start_um)
    if search.hidden() > HIDDEN or search.empty():
        return _nothing(search)
    while search.left > 0 and (z_um := search.missing()) is not None:
        search.expose(z_um)
    return _finish(search, said)


def _nothing(search: Search) -> Focused:
    """The end of a field that shows no specimen."""
    if search.hidden() > HIDDEN:
        return search.without(Outcome.FAILED, "obscured")
    return search.without(Outcome.BLANK, "blank")


def _finish(search: Search, said: Peak | None) -> Focused:
    """Fit; take one more exposure at the optimum while none is near enough to it."""
    peak = search.peak(said)
    while search.left > 0 and peak.reason not in {"flat", "edge"} and _too_far(search, peak):
        search.expose(peak.z_um)
        peak = search.peak(said)
    if peak.reason == "flat":
        return search.without(Outcome.BLANK, "blank") if search.faint() else search.without(Outcome.FAILED, _FLAT)
    shot = search.nearest(peak.z_um)
    return search.kept(shot, math.hypot(peak.sigma_um, shot.z_um - peak.z_um), peak)


def _too_far(search: Search, peak: Peak) -> bool:
    return abs(search.nearest(peak.z_um).z_um - peak.z_um) > search.keep_um
