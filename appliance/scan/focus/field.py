"""Focus one field. One picture at the predicted height is judged; where that settles it, it is kept.

Where the judge cannot tell, or there is none, the peak is bracketed from below, fitted, and the frame kept that is near
enough, or one taken that is. Nothing is searched where there is nothing stained to see, and nothing beyond what the
prediction allows; a field that cannot be focused says why. Heights are as commanded; the device arrives from below.
"""

from __future__ import annotations

import math

from appliance.records import Outcome
from appliance.scan.focus.estimate import Peak
from appliance.scan.focus.judge import Judgement
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.focus.search import FocusDevice, Focused, Search, View
from appliance.scan.focus.surface import Prediction
from appliance.settings import FocusSection

HIDDEN = 0.5
"""Share of a field under ink from which nothing is said about the rest of it."""
_FLAT = "not focused: flat"
_LOOKS = 3
"""Frames that are judged before the peak is bracketed after all."""
_KEEP_DOF = 0.45
"""A frame is kept where it surely lies within this, a little less than what counts as in focus."""
_SURE = 0.98
_SURE_PREDICTION_DOF = 1.0


def focus_field(
    device: FocusDevice, prediction: Prediction, view: View, settings: FocusSection, optics: FocusOptics
) -> Focused:
    """Focus the field under the objective, in at most `settings.max_exposures` exposures.

    Raises whatever the device raises; never moves outside the reach around the prediction nor the settings' bounds.
    """
    search = Search(device, prediction, view, settings, optics)
    if view.judge is not None:
        done = _judged(search)
        if done is not None:
            return done
    return _bracketed(search)


def _judged(search: Search) -> Focused | None:
    """Judge single frames, each taken where the last one said; None where that does not settle it."""
    z_um = search.prediction.z_um
    for _ in range(_LOOKS):
        shot = search.expose(z_um)
        if search.hidden() > HIDDEN or search.empty():
            return _nothing(search) if search.prediction.sigma_um <= _SURE_PREDICTION_DOF * search.dof_um else None
        found = search.judged(shot, _KEEP_DOF * search.dof_um)
        if not found.familiar:
            return None
        if found.within >= _SURE:
            return search.kept(shot, math.hypot(found.offset_um, found.sigma_um), _as_peak(search, shot.z_um, found))
        z_um = shot.z_um - found.offset_um
    return None


def _as_peak(search: Search, z_um: float, found: Judgement) -> Peak:
    """Where the frame alone, without the prediction, says that best focus is.

    The judge's posterior holds the prediction; the surface must not hear its own voice.
    """
    prior = 1 / search.prediction.sigma_um**2
    told = max(1 / found.sigma_um**2 - prior, 1e-6)
    best_um = z_um - found.offset_um
    alone_um = (best_um * (told + prior) - search.prediction.z_um * prior) / told
    return Peak(alone_um, 1 / math.sqrt(told), found.within, "judged", search.width_um)


def _bracketed(search: Search) -> Focused:
    for start_um in (search.prediction.z_um - search.step_um, search.prediction.z_um):
        if not search.shots or abs(search.nearest(start_um).z_um - start_um) > search.step_um / 2:
            search.expose(start_um)
    if search.hidden() > HIDDEN or search.empty():
        return _nothing(search)
    while search.left > 0 and (z_um := search.missing()) is not None:
        search.expose(z_um)
    return _finish(search)


def _nothing(search: Search) -> Focused:
    """The end of a field that shows no specimen."""
    if search.hidden() > HIDDEN:
        return search.without(Outcome.FAILED, "obscured")
    return search.without(Outcome.BLANK, "blank")


def _finish(search: Search) -> Focused:
    """Fit; take one more exposure at the optimum while none is near enough to it."""
    peak = search.peak()
    while search.left > 0 and peak.reason not in {"flat", "edge"} and _too_far(search, peak):
        search.expose(peak.z_um)
        peak = search.peak()
    if peak.reason == "flat":
        return search.without(Outcome.BLANK, "blank") if search.faint() else search.without(Outcome.FAILED, _FLAT)
    shot = search.nearest(peak.z_um)
    return search.kept(shot, math.hypot(peak.sigma_um, shot.z_um - peak.z_um), peak)


def _too_far(search: Search, peak: Peak) -> bool:
    return abs(search.nearest(peak.z_um).z_um - peak.z_um) > search.keep_um
