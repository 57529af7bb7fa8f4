"""What the report shows, gathered from the journal."""

from __future__ import annotations

from datetime import datetime, timezone

import cv2
import numpy as np

from appliance.errors import JournalError
from appliance.journal import JournalReader, OtherPlane
from appliance.records import Finding, SlideRun
from appliance.report import FindingPicture, OtherPicture, ReportData
from appliance.scan.crop import crop_window
from appliance.verdict.model import Verdict


def report_data(
    journal: JournalReader, run_id: str, verdict: Verdict, targets: tuple[str, ...], receipt: str | None
) -> ReportData:
    """Everything on the page for one run whose fields are all recorded. receipt: what the hub answered so far."""
    run = journal.run(run_id)
    others = journal.other_planes(run_id)
    return ReportData(
        run=run,
        verdict=verdict,
        fields=journal.fields(run_id),
        pictures=[_picture(run, finding, image, others.get(finding)) for finding, image in journal.pictures(run_id)],
        receipt=receipt,
        generated_at=datetime.now(timezone.utc),
        map_labels=targets,
    )


def _picture(run: SlideRun, finding: Finding, image: bytes, other: OtherPlane | None) -> FindingPicture:
    """The kept crop with the finding's box in the crop's own pixels."""
    width_px = round(run.field_width_um / run.um_per_px)
    height_px = round(run.field_height_um / run.um_per_px)
    x0, y0, x1, y1 = crop_window(finding, width_px, height_px, run.um_per_px)
    decoded = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise JournalError(f"The picture of a finding in field {finding.field_index} is damaged.", remedy="Scan again.")
    box = (
        finding.x_px - finding.width_px / 2 - x0,
        finding.y_px - finding.height_px / 2 - y0,
        finding.width_px,
        finding.height_px,
    )
    beside = None if other is None else OtherPicture(other.picture, other.z_um, other.probability)
    return FindingPicture(finding, image, x1 - x0, y1 - y0, box, run.um_per_px, beside)
