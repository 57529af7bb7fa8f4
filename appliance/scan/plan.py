"""The plan: which fields are read, in which order. Plain, frozen, hashable data.

The same plan replays the same scan; its hash is stored with the run, so that a resumed scan is the same scan.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum

from appliance.errors import PlanError


class Shape(str, Enum):
    """Outline of the area to read."""

    RECTANGLE = "rectangle"
    ELLIPSE = "ellipse"


@dataclass(frozen=True)
class Region:
    """Area to read, in stage µm: centre, full width and height, outline."""

    x_um: float
    y_um: float
    width_um: float
    height_um: float
    shape: Shape = Shape.RECTANGLE


@dataclass(frozen=True)
class PlannedField:
    """One field to visit: its number in reading order and its centre in stage µm."""

    index: int
    x_um: float
    y_um: float


@dataclass(frozen=True)
class Plan:
    """Fields in serpentine order, with the geometry they were made for."""

    assay: str
    field_width_um: float
    field_height_um: float
    region: Region
    fields: tuple[PlannedField, ...]

    def to_json(self) -> str:
        """Canonical JSON: the same plan always gives the same text."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @property
    def sha256(self) -> str:
        """Hash of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def field_region(self) -> Region:
        """The rectangle of all field centres: where the focus surface is needed."""
        xs = [f.x_um for f in self.fields]
        ys = [f.y_um for f in self.fields]
        return Region(
            (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2, max(xs) - min(xs), max(ys) - min(ys), Shape.RECTANGLE
        )


def _grid(region: Region, width_um: float, height_um: float, spacing: float) -> list[tuple[int, float, float]]:
    """Centres (row, x, y) of whole fields inside the region on a centred grid, `spacing` times the field apart."""
    pitch_x, pitch_y = width_um * spacing, height_um * spacing
    columns = int((region.width_um - width_um) / pitch_x + 1e-9) + 1
    rows = int((region.height_um - height_um) / pitch_y + 1e-9) + 1
    centres = []
    for row in range(rows):
        for column in range(columns):
            dx = (column - (columns - 1) / 2) * pitch_x
            dy = (row - (rows - 1) / 2) * pitch_y
            if _inside(region, abs(dx) + width_um / 2, abs(dy) + height_um / 2):
                centres.append((row, region.x_um + dx, region.y_um + dy))
    return centres


def _inside(region: Region, corner_x_um: float, corner_y_um: float) -> bool:
    """Whether a field whose farthest corner lies there is wholly inside the outline."""
    u, v = 2 * corner_x_um / region.width_um, 2 * corner_y_um / region.height_um
    if region.shape is Shape.ELLIPSE:
        return u * u + v * v <= 1 + 1e-9
    return u <= 1 + 1e-9 and v <= 1 + 1e-9


def make_plan(
    assay: str,
    region: Region,
    field_width_um: float,
    field_height_um: float,
    *,
    fields: int | None = None,
    overlap: float = 0.0,
) -> Plan:
    """Fields of a region in serpentine order.

    With fewer `fields` than the region holds, they are spread evenly over it (systematic sampling: a small block
    would miss what lies elsewhere on a heterogeneous smear). overlap: share of a field, negative leaves gaps.
    Raises PlanError when not one field fits.
    """
    dense = 1.0 - overlap
    centres = (
        _grid(region, field_width_um, field_height_um, dense)
        if _holds_one(region, field_width_um, field_height_um)
        else []
    )
    if not centres:
        raise PlanError(
            f"The region of {region.width_um:.0f} × {region.height_um:.0f} µm holds no whole field "
            f"of {field_width_um:.0f} × {field_height_um:.0f} µm.",
            remedy="Enlarge scan.region or choose the higher magnification.",
        )
    if fields is not None and fields < len(centres):
        centres = _spread(region, field_width_um, field_height_um, dense, fields)
    return Plan(assay, field_width_um, field_height_um, region, _serpentine(centres))


def _holds_one(region: Region, width_um: float, height_um: float) -> bool:
    return region.width_um >= width_um and region.height_um >= height_um


def _spread(
    region: Region, width_um: float, height_um: float, dense: float, wanted: int
) -> list[tuple[int, float, float]]:
    """The widest grid that still holds `wanted` fields; the ones farthest from the centre are left out."""
    low, high = dense, dense + max(region.width_um / width_um, region.height_um / height_um)
    for _ in range(40):
        middle = (low + high) / 2
        if len(_grid(region, width_um, height_um, middle)) >= wanted:
            low = middle
        else:
            high = middle
    centres = _grid(region, width_um, height_um, low)
    by_distance = sorted(centres, key=lambda c: (math.hypot(c[1] - region.x_um, c[2] - region.y_um), c))
    return by_distance[:wanted]


def _serpentine(centres: list[tuple[int, float, float]]) -> tuple[PlannedField, ...]:
    ordered = []
    for n, row in enumerate(sorted({c[0] for c in centres})):
        line = sorted((c for c in centres if c[0] == row), key=lambda c: c[1], reverse=n % 2 == 1)
        ordered.extend(line)
    return tuple(PlannedField(i, round(x, 3), round(y, 3)) for i, (_, x, y) in enumerate(ordered))


def check_limits(plan: Plan, limits: Mapping[str, tuple[float, float]]) -> None:
    """Refuse a plan that leaves the stage's limits, naming the axis and both figures.

    limits: axis name ("x", "y") to (lowest, highest) in µm, as the stage read them back. Raises PlanError.
    """
    for axis, values in (("x", [f.x_um for f in plan.fields]), ("y", [f.y_um for f in plan.fields])):
        low, high = limits[axis]
        if min(values) < low or max(values) > high:
            raise PlanError(
                f"The plan needs {axis.upper()} from {min(values):.0f} to {max(values):.0f} µm, "
                f"but the controller's limits are {low:.0f} to {high:.0f} µm.",
                remedy="Move scan.region inside the limits, or correct the stage's limits at commissioning.",
            )
