"""Focus one field. One picture at the predicted height is judged; where that settles it, it is kept.

Where it does not, one more is taken where the peak is expected now and compared with it, until one of them is near
enough. Where that does not fit, the prediction is too vague, or the device cannot judge single pictures, the peak is
bracketed from below. Nothing is searched where there is nothing stained to see, and nothing beyond what the prediction
allows; a field that cannot be focused says why. Heights are as commanded; the device arrives from below.
"""

from __future__ import annotations

import math

from appliance.records import Outcome
from appliance.scan.focus.estimate import Peak
from appliance.scan.focus.frames import HIDDEN, Seen, can_be_judged, compare, look, nothing, surely_within
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.focus.search import FocusDevice, Focused, Search, View
from appliance.scan.focus.surface import Prediction
from appliance.settings import FocusSection

_FLAT = "not focused: flat"
_SPECKS = "not focused: specks away from the expected height"


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

    seen: what frames taken of it before left open; they count among them, unless the peak is bracketed anew. first_um:
    where the stage stands already, by `first_height_um` of a prediction that may since have changed a little.
    Raises whatever the device raises; never moves outside the reach around the prediction nor the settings' bounds.
    """
    search = Search(device, prediction, view, settings, optics)
    if seen is not None:
        search.resume(seen.shots)
    elif not can_be_judged(prediction, view, optics):
        return _bracketed(search)
    else:
        search.expose(prediction.z_um if first_um is None else first_um)
    found = seen or look(search)
    while isinstance(found, Seen) and found.next_um is not None:
        search.expose(found.next_um)
        found = compare(search, found)
    if isinstance(found, Focused):
        return found
    if seen is not None:
        search.resume(())
    return _bracketed(search)


def first_height_um(
    prediction: Prediction,
    view: View,
    settings: FocusSection,
    optics: FocusOptics,
    seen: Seen | None = None,
    *,
    below_um: float = 0.0,
) -> float:
    """Where the first exposure is taken. below_um: so far below the expected height where frames may be judged."""
    z_um = prediction.z_um - below_um
    if seen is not None and seen.next_um is not None:
        z_um = seen.next_um
    elif seen is not None or not can_be_judged(prediction, view, optics):
        z_um = prediction.z_um - settings.bracket_step_dof * optics.dof_um
    return min(max(z_um, settings.min_z_um), settings.max_z_um)


def _bracketed(search: Search) -> Focused:
    """Expose until the peak has lower samples on both sides."""
    around_um = max(search.curve(), key=lambda sample: sample.value).z_um if search.shots else search.prediction.z_um
    for start_um in (around_um - search.step_um, around_um):
        if not search.shots or abs(search.nearest(start_um).z_um - start_um) > search.step_um / 2:
            search.expose(start_um)
    if search.hidden() > HIDDEN or search.empty():
        return nothing(search)
    while search.left > 0 and (z_um := search.missing()) is not None:
        if search.strays(z_um):
            return search.without(Outcome.FAILED, _SPECKS)
        search.expose(z_um)
    return _finish(search)


def _finish(search: Search) -> Focused:
    """Fit; take one more exposure at the optimum while none is near enough to it."""
    peak = search.peak()
    while search.left > 0 and peak.reason not in {"flat", "edge"} and _too_far(search, peak):
        search.expose(peak.z_um)
        peak = search.peak()
    if peak.reason == "flat":
        return search.without(Outcome.BLANK, "blank") if search.faint() else search.without(Outcome.FAILED, _FLAT)
    shot = search.nearest(peak.z_um)
    return search.kept(shot, math.hypot(peak.sigma_um, shot.z_um - peak.z_um), peak, peak)


def _too_far(search: Search, peak: Peak) -> bool:
    off_um = abs(search.nearest(peak.z_um).z_um - peak.z_um)
    if search.exact or off_um <= search.least_um:
        return off_um > search.keep_um
    return off_um > search.keep_um or not surely_within(off_um, peak.sigma_um, search)
