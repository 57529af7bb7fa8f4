"""The fields of a slide of the twin that are visited: over its specimen, as a laboratory would read it."""

from __future__ import annotations

from appliance.scan.plan import Plan, PlannedField, Region, Shape, make_plan
from drivers.twin.virtual import FieldShelf


def plan_over(shelf: FieldShelf, fields: int) -> tuple[PlannedField, ...]:
    """At most so many fields, spread over the specimen. Raises PlanError."""
    return whole_plan_over(shelf, fields).fields


def whole_plan_over(shelf: FieldShelf, fields: int) -> Plan:
    """The plan of those fields."""
    area, camera, scale = shelf.slide.specimen, shelf.settings.camera, shelf.settings.optics.scale_um
    shape = Shape.ELLIPSE if shelf.slide.content == "serous" else Shape.RECTANGLE
    centre = (area.x_um + area.width_um / 2, area.y_um + area.height_um / 2)
    region = Region(*centre, area.width_um, area.height_um, shape)
    size_um = (camera.width_px * scale, camera.height_px * scale)
    return make_plan(shelf.slide.content, region, *size_um, fields=fields)
