"""From field records and findings to the slide's verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence

from appliance.assays.model import AfbGrading, Assay
from appliance.records import FieldRecord, Finding, SlideRun
from appliance.verdict.adequacy import assess
from appliance.verdict.afb import grade_afb
from appliance.verdict.model import Verdict
from appliance.verdict.serous import grade_serous
from appliance.verdict.stopping import early_ending
from engines.errors import BadPackage
from engines.scorer import OperatingPoint

_REMEDY = "Install an engine package that was validated for this assay."


def form_verdict(
    assay: Assay,
    run: SlideRun,
    fields: Sequence[FieldRecord],
    findings: Sequence[Finding],
    operating_point: OperatingPoint,
) -> Verdict:
    """The verdict on one slide. Pure: the same records give the same verdict, in whatever order they come.

    findings: of the whole slide; those below `operating_point.threshold` or outside readable fields do not count.
    run.extra["volume_ml"]: submitted volume of an effusion in mL, when the order states it; else ignored.
    A reading that the assay's stopping rule ended (`appliance.verdict.stopping`) is complete, and says why it ended.
    Raises BadPackage when the operating point cannot grade this assay (see `check_operating_point`).
    """
    check_operating_point(assay, operating_point)
    enough = early_ending(assay, run, fields, operating_point)
    assessed = assess(assay, run, fields, enough.sentence(len(fields), run.planned_fields) if enough else "")
    if isinstance(assay.grading, AfbGrading):
        return grade_afb(assay, assay.grading, assessed, findings, operating_point)
    return grade_serous(assay, assay.grading, assessed, findings, operating_point, volume_ml=_volume_ml(run))


def _volume_ml(run: SlideRun) -> float | None:
    try:
        volume = float(run.extra.get("volume_ml", ""))
    except ValueError:
        return None
    return volume if math.isfinite(volume) and volume >= 0 else None


def check_operating_point(assay: Assay, point: OperatingPoint) -> None:
    """Refuse an operating point that this assay cannot be graded with; call it before a scan starts.

    Raises BadPackage naming what is missing.
    """
    if not 0.0 < point.sensitivity <= 1.0:
        raise BadPackage(
            f"Operating point {point.name}: sensitivity {point.sensitivity} is not within 0 to 1.", remedy=_REMEDY
        )
    if isinstance(assay.grading, AfbGrading):
        return
    missing = [name for name in ("t1", "t2", "t3") if name not in point.cutoffs]
    if missing:
        raise BadPackage(f"Operating point {point.name} lacks the cut-offs {', '.join(missing)}.", remedy=_REMEDY)
    t1, t2, t3 = (point.cutoffs[name] for name in ("t1", "t2", "t3"))
    if not 0.0 < t1 <= t2 <= t3 < 1.0:
        raise BadPackage(
            f"Operating point {point.name}: cut-offs must ascend between 0 and 1, but they are {t1}, {t2}, {t3}.",
            remedy=_REMEDY,
        )
