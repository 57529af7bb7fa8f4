"""The pictures of the findings, ready for the page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.report.axes import nice_below
from appliance.report.data import FindingPicture, OtherPicture, ReportError
from appliance.report.text import fixed, short, words

_KINDS = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"))


@dataclass(frozen=True)
class OtherTile:
    """The same window in another plane, shown beside the picture."""

    source: str
    caption: str
    alternative: str


@dataclass(frozen=True)
class Tile:
    """One picture. box: left, top, width, height in crop pixels. bar_percent: of the picture's width."""

    number: int
    source: str
    width_px: int
    height_px: int
    box: tuple[float, float, float, float]
    label: str
    probability: str
    field: int
    place: str
    height_um: str
    bar: str
    bar_percent: float
    alternative: str
    other: OtherTile | None


def tiles_of(pictures: Sequence[FindingPicture]) -> tuple[Tile, ...]:
    """Gallery tiles in the order given. Raises ReportError for a picture that is neither JPEG nor PNG."""
    return tuple(_tile(k, p) for k, p in enumerate(pictures, start=1))


def _tile(rank: int, picture: FindingPicture) -> Tile:
    finding = picture.finding
    bar_um = nice_below(picture.crop_width_px * picture.um_per_px * 0.4)
    place = f"X {fixed(finding.x_um / 1000, 3)}, Y {fixed(finding.y_um / 1000, 3)} mm"
    label, probability = words(finding.label), fixed(finding.probability, 2)
    return Tile(
        number=rank,
        source=_data_uri(picture.image),
        width_px=picture.crop_width_px,
        height_px=picture.crop_height_px,
        box=picture.box,
        label=label,
        probability=probability,
        field=finding.field_index,
        place=place,
        height_um=fixed(finding.z_um, 1),
        bar=f"{short(bar_um)} µm",
        bar_percent=100.0 * bar_um / (picture.crop_width_px * picture.um_per_px),
        alternative=f"Finding {rank}: {label}, probability {probability}, in field {finding.field_index} at {place}, "
        "marked by a box",
        other=None if picture.other is None else _other(rank, picture.other),
    )


def _other(rank: int, other: OtherPicture) -> OtherTile:
    height_um = fixed(other.z_um, 1)
    said = "not found there" if other.probability is None else f"probability {fixed(other.probability, 2)} there"
    return OtherTile(
        _data_uri(other.image), f"Z {height_um} µm: {said}", f"The place of finding {rank} at Z {height_um} µm, {said}"
    )


def _data_uri(image: bytes) -> str:
    for magic, kind in _KINDS:
        if image.startswith(magic):
            return f"data:{kind};base64,{base64.b64encode(image).decode('ascii')}"
    raise ReportError(
        "A picture of a finding is neither JPEG nor PNG.", remedy="Keep crops as JPEG or PNG and make the report again."
    )
