"""What a report is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from appliance.errors import ApplianceError
from appliance.records import FieldRecord, Finding, SlideRun
from appliance.verdict.model import Verdict


class ReportError(ApplianceError):
    """The report cannot be made or written."""


@dataclass(frozen=True)
class OtherPicture:
    """The place of a finding in another plane of its field. image: JPEG or PNG, as large as the finding's own.

    z_um: height of that frame. probability: of the same object there, None where it was not found.
    """

    image: bytes
    z_um: float
    probability: float | None


@dataclass(frozen=True)
class FindingPicture:
    """One finding cut out of its field, with some surroundings, as the scan kept it.

    image: a JPEG or PNG of crop_width_px x crop_height_px pixels, the upright pixels of the field (not rotated;
        rescaled is fine as long as um_per_px is that of this picture). About 96 to 256 px a side reads best, with the
        finding in the middle; near a field's edge the crop may be smaller.
    box: left, top, width and height of the finding in pixels of the crop.
    um_per_px: scale of the crop, for the scale bar.
    other: the same window as another plane shows it, where there is one.
    """

    finding: Finding
    image: bytes
    crop_width_px: int
    crop_height_px: int
    box: tuple[float, float, float, float]
    um_per_px: float
    other: OtherPicture | None = None


@dataclass(frozen=True)
class ReportData:
    """Everything the page shows; nothing else is looked up.

    fields: every recorded field, in any order. pictures: the gallery, most important first.
    receipt: what the hub answered (accepted, duplicate, rejected), None while it has not.
    generated_at: when the report is made (UTC). map_labels: labels that shade the slide map; empty means all of them.
    """

    run: SlideRun
    verdict: Verdict
    fields: Sequence[FieldRecord]
    pictures: Sequence[FindingPicture]
    receipt: str | None
    generated_at: datetime
    map_labels: tuple[str, ...] = ()
