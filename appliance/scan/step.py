"""One field of a scan: focused where the surface expects it, and the surface told what was found."""

from __future__ import annotations

from appliance.records import FocusResult, Outcome
from appliance.scan.focus.field import focus_field
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.focus.search import Focused
from appliance.scan.focus.surface import Observation
from appliance.scan.focus.survey import Survey
from appliance.scan.plan import PlannedField
from appliance.scan.rig import Rig
from appliance.settings import FocusSection
from drivers.errors import FrameTimeout


def focus_planned(rig: Rig, field: PlannedField, known: Survey, settings: FocusSection, optics: FocusOptics) -> Focused:
    """Focus the planned field that lies under the objective, and learn from it. A field without a frame has failed."""
    prediction = known.surface.predict(field.x_um, field.y_um)
    try:
        focused = focus_field(rig, prediction, known.view, settings, optics)
    except FrameTimeout as error:
        result = FocusResult(prediction.z_um, None, 0.0, "no frame", rig.meter.exposures, prediction.z_um)
        focused = Focused(result, None, Outcome.FAILED, error.what)
    if focused.peak is not None:
        peak = focused.peak
        known.surface.add([Observation(field.x_um, field.y_um, peak.z_um, peak.sigma_um)])
    return focused
