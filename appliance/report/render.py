"""Render the report: plain data in, one self-contained HTML page out."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from appliance.report import text, wording
from appliance.report.data import ReportData
from appliance.report.focus_map import focus_map_of
from appliance.report.gallery import tiles_of
from appliance.report.quality import quality_of, seconds_text
from appliance.report.slide_map import LEVELS, findings_of, frame_of, map_of
from appliance.report.summary import assay_name, counts_of, identity_of, parts_of, provenance_of, receipt_text
from appliance.report.tone import tone_of
from appliance.report.unused import groups_of, rows_of

LONGEST_OPEN_LIST = 24


def render_report(data: ReportData) -> str:
    """The page as one string of HTML: no scripts, nothing fetched, the same bytes for the same data.

    Raises ReportError for a picture that is neither JPEG nor PNG.
    """
    return _environment().get_template("report.html").render(_view(data))


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("appliance.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        number=text.number,
        short=text.short,
        fixed=text.fixed,
        signed=text.signed,
        percent=text.percent,
        when=text.when,
        words=text.words,
        css_string=text.css_string,
    )
    return environment


def _view(data: ReportData) -> dict[str, Any]:
    run, verdict = data.run, data.verdict
    fields = sorted(data.fields, key=lambda f: f.index)
    frame = frame_of(run, fields)
    shown = frozenset(p.finding.field_index for p in data.pictures)
    quality = quality_of(run, fields)
    return {
        "run": run,
        "verdict": verdict,
        "tone": tone_of(verdict),
        "code": wording.code(verdict),
        "headline": wording.headline(verdict),
        "standing": wording.standing(verdict),
        "reasons": wording.reasons(verdict),
        "assay": assay_name(run.assay),
        "identity": identity_of(run),
        "receipt": receipt_text(data.receipt),
        "generated": text.when(data.generated_at),
        "last_field": max((f.recorded_at for f in fields), default=None),
        "figures": wording.figures(verdict),
        "flags": wording.flags(verdict),
        "counts": counts_of(verdict),
        "parts": parts_of(verdict),
        "quality": quality,
        "seconds": seconds_text(quality.seconds),
        "map": map_of(frame, fields, data.map_labels, shown) if frame else None,
        "levels": LEVELS,
        "map_labels": [text.words(label) for label in data.map_labels],
        "findings_total": sum(findings_of(f, data.map_labels) for f in fields),
        "focus": focus_map_of(frame, fields) if frame else None,
        "tiles": tiles_of(data.pictures),
        "groups": groups_of(fields),
        "unused": rows_of(fields),
        "open_list": len(rows_of(fields)) <= LONGEST_OPEN_LIST,
        "provenance": provenance_of(run, verdict),
    }
