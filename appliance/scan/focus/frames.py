"""What frames of one field settle about its focus, wherever the stage is by now.

One frame near a sure prediction is judged; where that leaves it open, a second one is compared with it: what two frames
of one field show differs by height alone, so together with what was expected they tell where the peak is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

from appliance.records import Outcome
from appliance.scan.focus.bands import measure_bands
from appliance.scan.focus.curve import Shot
from appliance.scan.focus.estimate import Peak
from appliance.scan.focus.judge import Judgement
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.focus.search import Focused, Search, View
from appliance.scan.focus.surface import Prediction
from appliance.settings import FocusSection
from drivers.camera.frame import Frame

HIDDEN = 0.5
"""Share of a field under ink from which nothing is said about the rest of it."""
_LOOKS = 4
"""Frames around a prediction before the peak is bracketed after all."""
_KEEP_DOF, _SURE = 0.45, 0.98
"""One of frames that are compared is kept where it lies within this, a little less than what counts as in focus, with
this probability."""
_SURE_ALONE = 0.99
"""A frame that is judged alone has to satisfy more: what the judge mistakes of a slide is not in its sigma. Measured on
three twin slides at NA 0.50: misses are 0.6 to 1.1 of what judge and surface claim together."""
_SURE_PREDICTION_DOF = 1.0
APART_DOF = 0.5
"""Distance of frames that are compared: wider apart, none lies surely near enough to a peak between them; nearer,
their heights' errors weigh more than what is won. Measured on twin slides."""
_PAIR, _INSIDE_DOF = 2, 0.1
"""Where the judge tells nothing it takes more than a pair, and this is how far within their ends frames must show the
peak: such as are sharper towards one end look alike near focus and two depths of field away."""
_PAIR_ERROR = 0.25
"""Errors of height, as a share of the distance of two frames, from which it takes a third: a pair then lies astray by
as much as it could tell of."""
_ASTRAY = 3.0
"""Standard deviations by which two frames may contradict what was expected; beyond, the peak is bracketed."""


@dataclass(frozen=True)
class Seen:
    """What frames left open. expected: where best focus lies by all that was known before they were compared.

    shots: the frames. next_um: height of the one that is wanted next; None where they told nothing, or what cannot be.
    judged: whether the judge told anything of them.
    """

    expected: Prediction
    shots: tuple[Shot, ...] = ()
    next_um: float | None = None
    judged: bool = False


def can_be_judged(prediction: Prediction, view: View, optics: FocusOptics) -> bool:
    """Whether single frames may settle a field; two frames far from focus can look like two near it."""
    return view.judge is not None and prediction.sigma_um <= _SURE_PREDICTION_DOF * optics.dof_um


def settle_frames(
    frames: Sequence[Frame],
    heights_um: Sequence[float],
    prediction: Prediction,
    view: View,
    settings: FocusSection,
    optics: FocusOptics,
) -> Focused | Seen:
    """What frames taken near a sure prediction settle, or else what they tell. heights_um: asked for, ascending.

    The judge looks at the first, and a second is compared with it only where that does not settle the field; without a
    judge all are compared, where all have come. Needs no device.
    """
    search = Search(_Taken(frames), prediction, view, settings, optics)
    search.expose(heights_um[0])
    found = look(search) if view.judge is not None else Seen(prediction, tuple(search.shots))
    if isinstance(found, Focused) or len(frames) < max(len(heights_um), 2):
        return found
    for height_um in heights_um[1:]:
        search.expose(height_um)
    return compare(search, found)


def teach(view: View, focused: Focused) -> None:
    """Show the judge the frame of a field whose height other frames bear witness to."""
    if view.judge is None or focused.frame is None or focused.witness is None:
        return
    features = measure_bands(focused.frame, view.baseline).features()
    view.judge.learn(features, focused.result.z_um - focused.witness.z_um, focused.witness.sigma_um)


class _Taken:
    """Stands for the device where the exposures have been taken."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self._frames = list(frames)

    def now_s(self) -> float:
        """When the next of them was triggered."""
        return self._frames[0].trigger_ns / 1e9

    def expose_at(self, z_um: float) -> Frame:  # noqa: ARG002 - where it was taken
        """The next of them."""
        return self._frames.pop(0)


def look(search: Search) -> Focused | Seen:
    """The first frame: what it settles or tells."""
    (shot,) = search.shots
    if search.hidden() > HIDDEN or (search.empty() and not search.hints()):
        return nothing(search)
    if search.empty():
        return Seen(search.prediction, (shot,))
    found = search.judged(shot, _KEEP_DOF * search.dof_um)
    if not found.familiar:
        return Seen(search.prediction, (shot,))
    off_um = math.hypot(found.offset_um, found.sigma_um)
    if off_um <= search.keep_um if search.exact else found.within >= _SURE_ALONE:
        return search.kept(shot, off_um, _as_peak(search, shot.z_um, found))
    expected = Prediction(shot.z_um - found.offset_um, found.sigma_um)
    return Seen(expected, (shot,), _second_um(shot.z_um, expected.z_um, search.optics), judged=True)


def compare(search: Search, before: Seen) -> Focused | Seen:
    """Two frames or more: the one that is surely near enough, or what is open where none is or they contradict it.

    before: what was left open by fewer.
    """
    if search.hidden() > HIDDEN or search.empty():
        return nothing(search)
    expected = before.expected
    left_open = replace(before, shots=tuple(search.shots), next_um=None)
    peak = search.template(Peak(expected.z_um, expected.sigma_um, 1.0, "expected", search.width.um))
    if peak.reason not in {"template", "edge"} or _contradicts(peak, expected):
        return left_open
    shot = search.nearest(peak.z_um)
    off_um = abs(shot.z_um - peak.z_um)
    near = surely_within(off_um, peak.sigma_um, search) and (not search.exact or off_um <= search.keep_um)
    enough = _is_firm(search) if before.judged else _surrounded(search, peak)
    if peak.reason == "template" and near and enough:
        off_um = math.hypot(off_um, peak.sigma_um)
        alone = search.template(None)  # the surface must not hear its own voice, nor the judge its own
        heard = replace(peak, z_um=alone.z_um, sigma_um=alone.sigma_um)
        return search.kept(shot, off_um, heard, heard if alone.reason == "template" else None)
    if len(search.shots) >= min(_LOOKS, search.most):
        return left_open
    return replace(left_open, next_um=_further_um(search, peak))


def nothing(search: Search) -> Focused:
    """The end of a field that shows no specimen."""
    if search.hidden() > HIDDEN:
        return search.without(Outcome.FAILED, "obscured")
    return search.without(Outcome.BLANK, "blank")


def _contradicts(peak: Peak, expected: Prediction) -> bool:
    """Whether what was expected and what the frames say cannot both be true."""
    return abs(peak.z_um - expected.z_um) > _ASTRAY * math.hypot(peak.sigma_um, expected.sigma_um)


def _second_um(first_um: float, expected_um: float, optics: FocusOptics) -> float:
    """Where to take a second frame: at the expected height, but not too near the first."""
    least_um = APART_DOF * optics.dof_um
    if expected_um >= first_um:
        return max(expected_um, first_um + least_um)
    return min(expected_um, first_um - least_um)


def _is_firm(search: Search) -> bool:
    """Whether there are more frames than two, or heights err little against their distance."""
    low_um, high_um = _ends_um(search)
    return len(search.shots) > _PAIR or search.height_um <= _PAIR_ERROR * (high_um - low_um)


def _surrounded(search: Search, peak: Peak) -> bool:
    """Whether three frames or more lie on both sides of the peak."""
    inside_um = _INSIDE_DOF * search.dof_um
    low_um, high_um = _ends_um(search)
    return len(search.shots) > _PAIR and low_um + inside_um <= peak.z_um <= high_um - inside_um


def _further_um(search: Search, peak: Peak) -> float:
    """Where to take one more frame: at the peak; beyond the nearer end where it is well surrounded already."""
    apart_um = APART_DOF * search.dof_um
    if abs(search.nearest(peak.z_um).z_um - peak.z_um) > (search.keep_um if search.exact else apart_um / 2):
        return peak.z_um
    low_um, high_um = _ends_um(search)
    return low_um - apart_um if peak.z_um - low_um < high_um - peak.z_um else high_um + apart_um


def _ends_um(search: Search) -> tuple[float, float]:
    """The lowest and the highest frame."""
    heights_um = [shot.z_um for shot in search.shots]
    return min(heights_um), max(heights_um)


def surely_within(off_um: float, sigma_um: float, search: Search) -> bool:
    """Whether a frame off_um from a peak that is known to sigma_um lies near enough with the probability asked for."""
    limit_um, where = _KEEP_DOF * search.dof_um, NormalDist(off_um, sigma_um)
    return where.cdf(limit_um) - where.cdf(-limit_um) >= _SURE


def _as_peak(search: Search, z_um: float, found: Judgement) -> Peak:
    """Where a judged frame alone puts best focus: the judgement is a posterior in which the prediction was heard.

    The surface must not hear its own voice.
    """
    heard = search.prediction
    prior = 1 / heard.sigma_um**2
    told = max(1 / found.sigma_um**2 - prior, 1e-6)
    alone_um = ((z_um - found.offset_um) * (told + prior) - heard.z_um * prior) / told
    return Peak(alone_um, 1 / math.sqrt(told), found.within, "judged", search.width.um)
