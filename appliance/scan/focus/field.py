"""Focus one field. One picture at the predicted height is judged; where that settles it, it is kept.

Where it does not, one more is taken where the peak is expected now; what two pictures of one field show differs by
height alone, so together with what was expected they tell where the peak is, and the frame is kept that is near enough,
or one taken that is. Where that does not fit, the prediction is too vague, or the device cannot judge single pictures,
the peak is bracketed from below. Nothing is searched where there is nothing stained to see, and nothing beyond what the
prediction allows; a field that cannot be focused says why. Heights are as commanded; the device arrives from below.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

from appliance.records import Outcome
from appliance.scan.focus.bands import measure_bands
from appliance.scan.focus.curve import Shot
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
_LOOKS = 4
"""Frames around a prediction before the peak is bracketed after all."""
_KEEP_DOF, _KEEP_ALONE_DOF = 0.45, 0.38
"""A frame is kept where it surely lies within this, a little less than what counts as in focus; one that was judged
alone where it lies within the second, as what the judge mistakes of a slide is not in its sigma."""
_SURE, _SURE_ALONE = 0.98, 0.995
"""Probability of that, by two frames compared, and by one."""
_SURE_PREDICTION_DOF = 1.0
_APART_DOF = 0.5
"""Least distance of two frames that are compared. Measured on twin stacks: at a quarter, the error of the heights
themselves weighs more than what is won."""
_ASTRAY = 3.0
"""Standard deviations by which two frames may contradict what was expected; beyond, the peak is bracketed."""


@dataclass(frozen=True)
class Seen:
    """What a first frame left open. expected: where best focus is to be searched now; shot: the frame, if there is one.

    told: whether the frame itself told anything.
    """

    expected: Prediction
    shot: Shot | None = None
    told: bool = False


def focus_field(
    device: FocusDevice,
    prediction: Prediction,
    view: View,
    settings: FocusSection,
    optics: FocusOptics,
    seen: Seen | None = None,
    *,
    first_um: float | None = None,
) -> Focused:
    """Focus the field under the objective, in at most `settings.max_exposures` exposures.

    seen: what `judge_frame` said of a frame taken of it before, which counts among them. first_um: where the stage
    stands already, by `first_height_um` of a prediction that may since have changed a little.
    Raises whatever the device raises; never moves outside the reach around the prediction nor the settings' bounds.
    """
    search = Search(device, prediction, view, settings, optics)
    if not _can_be_judged(prediction, view, optics):
        return _bracketed(search)
    found = seen or _look(search, prediction.z_um if first_um is None else first_um)
    if isinstance(found, Focused):
        return found
    if seen is not None and seen.shot is not None:
        search.shots.append(seen.shot)
    compared = _compared(search, found.expected) if found.told else None
    return compared or _bracketed(search)


def _can_be_judged(prediction: Prediction, view: View, optics: FocusOptics) -> bool:
    """Whether single frames may settle a field; two frames far from focus can look like two near it."""
    return view.judge is not None and prediction.sigma_um <= _SURE_PREDICTION_DOF * optics.dof_um


def first_height_um(
    prediction: Prediction, view: View, settings: FocusSection, optics: FocusOptics, seen: Seen | None = None
) -> float:
    """Where `focus_field` takes its first exposure."""
    z_um = prediction.z_um
    if not _can_be_judged(prediction, view, optics):
        z_um -= settings.bracket_step_dof * optics.dof_um
    elif seen is not None and seen.shot is not None and seen.told:
        z_um = _second_um(seen.shot.z_um, seen.expected.z_um, optics)
    return min(max(z_um, settings.min_z_um), settings.max_z_um)


def judge_frame(
    frame: Frame, z_um: float, prediction: Prediction, view: View, settings: FocusSection, optics: FocusOptics
) -> Focused | Seen:
    """What one frame, taken at z_um near a sure prediction, settles; or else what it tells.

    Needs no device: the stage may already be elsewhere.
    """
    return _look(Search(_Taken(frame), prediction, view, settings, optics), z_um)


def teach(view: View, focused: Focused) -> None:
    """Show the judge a frame of this slide whose height was found by bracketing, and not by the judge itself."""
    if view.judge is None or focused.frame is None or focused.peak is None:
        return
    features = measure_bands(focused.frame, view.baseline).features()
    view.judge.learn(features, focused.result.z_um - focused.peak.z_um, focused.peak.sigma_um)


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


def _look(search: Search, z_um: float) -> Focused | Seen:
    """The first frame: what it settles or tells."""
    shot = search.expose(z_um)
    if search.hidden() > HIDDEN or search.empty():
        return _nothing(search)
    found = search.judged(shot, _KEEP_ALONE_DOF * search.dof_um)
    if not found.familiar:
        return Seen(search.prediction, shot)
    off_um = math.hypot(found.offset_um, found.sigma_um)
    if off_um <= search.keep_um if search.exact else found.within >= _SURE_ALONE:
        return search.kept(shot, off_um, _as_peak(search, shot.z_um, found))
    return Seen(Prediction(shot.z_um - found.offset_um, found.sigma_um), shot, told=True)


def _compared(search: Search, expected: Prediction) -> Focused | None:
    """Compare frames near the expected height until one is surely near enough; None where they do not agree with it."""
    before = Peak(expected.z_um, expected.sigma_um, 1.0, "expected", search.width.um)
    search.expose(_second_um(search.shots[-1].z_um, expected.z_um, search.optics))
    while True:
        if search.hidden() > HIDDEN or search.empty():
            return _nothing(search)
        peak = search.template(before)
        if peak.reason not in {"template", "edge"} or _contradicts(peak, expected):
            return None
        shot = search.nearest(peak.z_um)
        off_um = abs(shot.z_um - peak.z_um)
        near = off_um <= search.keep_um if search.exact else _surely_within(off_um, peak.sigma_um, search)
        if near and peak.reason == "template":
            return search.kept(shot, math.hypot(off_um, peak.sigma_um), _without(peak, search.prediction))
        if len(search.shots) >= min(_LOOKS, search.most) or off_um < search.least_um:
            return None
        search.expose(peak.z_um)


def _contradicts(peak: Peak, expected: Prediction) -> bool:
    """Whether what was expected and what the frames say cannot both be true."""
    return abs(peak.z_um - expected.z_um) > _ASTRAY * math.hypot(peak.sigma_um, expected.sigma_um)


def _second_um(first_um: float, expected_um: float, optics: FocusOptics) -> float:
    """Where to take a second frame: at the expected height, but not too near the first."""
    least_um = _APART_DOF * optics.dof_um
    if expected_um >= first_um:
        return max(expected_um, first_um + least_um)
    return min(expected_um, first_um - least_um)


def _surely_within(off_um: float, sigma_um: float, search: Search) -> bool:
    """Whether a frame off_um from a peak that is known to sigma_um lies near enough with the probability asked for."""
    limit_um, where = _KEEP_DOF * search.dof_um, NormalDist(off_um, sigma_um)
    return where.cdf(limit_um) - where.cdf(-limit_um) >= _SURE


def _as_peak(search: Search, z_um: float, found: Judgement) -> Peak:
    """Where a judged frame puts best focus, the prediction apart."""
    peak = Peak(z_um - found.offset_um, found.sigma_um, found.within, "judged", search.width.um)
    return _without(peak, search.prediction)


def _without(peak: Peak, heard: Prediction) -> Peak:
    """Where the frames alone put best focus: the peak is a posterior in which the prediction was heard.

    The surface must not hear its own voice.
    """
    prior = 1 / heard.sigma_um**2
    told = max(1 / peak.sigma_um**2 - prior, 1e-6)
    alone_um = (peak.z_um * (told + prior) - heard.z_um * prior) / told
    return replace(peak, z_um=alone_um, sigma_um=1 / math.sqrt(told))


def _bracketed(search: Search) -> Focused:
    """Expose until the peak has lower samples on both sides."""
    around_um = max(search.curve(), key=lambda sample: sample.value).z_um if search.shots else search.prediction.z_um
    for start_um in (around_um - search.step_um, around_um):
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
