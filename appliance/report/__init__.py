"""The slide report that a person reads: one HTML file, opened offline, printed on A4."""

from __future__ import annotations

from appliance.report.data import FindingPicture, OtherPicture, ReportData, ReportError
from appliance.report.render import render_report
from appliance.report.write import write_report

__all__ = ["FindingPicture", "OtherPicture", "ReportData", "ReportError", "render_report", "write_report"]
