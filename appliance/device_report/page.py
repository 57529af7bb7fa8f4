"""The report as one self-contained HTML page: no scripts, nothing fetched."""

from __future__ import annotations

import math

from jinja2 import Environment, PackageLoader, StrictUndefined

from appliance.device_report.report import DeviceReport
from appliance.device_report.section import Value
from appliance.device_report.speed import TARGET


def page(report: DeviceReport) -> str:
    """The same bytes for the same report."""
    environment = Environment(
        loader=PackageLoader("appliance.device_report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = shown
    return environment.get_template("page.html").render(report=report, target=TARGET)


def shown(value: Value) -> str:
    """As it stands on the page: three significant digits of what was measured, whole numbers as they are."""
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return str(value)
    if not math.isfinite(value):
        return "no number"
    size = math.floor(math.log10(abs(value))) if value else 0
    return f"{value:.{min(6, max(0, 2 - size))}f}".replace("-", "−")
