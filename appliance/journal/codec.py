"""Records to rows and back, exactly: what is read equals what was written."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from numbers import Integral, Real

from appliance.records import FieldRecord, Finding, FocusResult, ImageQuality, Outcome, SecondPlane, SlideRun

INSERT_FINDING = (
    "INSERT INTO findings(run, field, position, label, probability, x_um, y_um, z_um, x_px, y_px, width_px, height_px) "
    "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
"""Takes what `finding_row` gives."""
FINDING_COLUMNS = "field, label, probability, x_um, y_um, z_um, x_px, y_px, width_px, height_px"


def canonical(value: object) -> str:
    """JSON with sorted keys and no spaces: the same text for the same value. numpy numbers are plain numbers."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be kept in the journal")


def run_text(run: SlideRun) -> str:
    """A slide run as JSON."""
    return canonical(asdict(run))


def run_from(row: sqlite3.Row) -> SlideRun:
    """A slide run from columns `detail` and `resumed`."""
    values = json.loads(row["detail"])
    values["started_at"] = datetime.fromisoformat(values["started_at"])
    values["resumed"] = row["resumed"]
    return SlideRun(**values)


def field_row(run: int, record: FieldRecord) -> tuple[object, ...]:
    """Values of table `fields`, in order."""
    detail = {
        "focus": asdict(record.focus),
        "quality": None if record.quality is None else asdict(record.quality),
        "counts": record.counts,
        "seconds": record.seconds,
    }
    if record.second is not None:
        detail["second"] = asdict(record.second)
    return (
        run,
        int(record.index),
        float(record.x_um),
        float(record.y_um),
        record.outcome.value,
        record.reason,
        record.recorded_at.isoformat(),
        canonical(detail),
    )


def field_from(row: sqlite3.Row) -> FieldRecord:
    """A field record from a row of table `fields`."""
    detail = json.loads(row["detail"])
    return FieldRecord(
        index=row["field"],
        x_um=row["x_um"],
        y_um=row["y_um"],
        outcome=Outcome(row["outcome"]),
        reason=row["reason"],
        focus=FocusResult(**detail["focus"]),
        quality=_quality_from(detail["quality"]),
        counts=detail["counts"],
        seconds=detail["seconds"],
        recorded_at=datetime.fromisoformat(row["recorded_at"]),
        second=SecondPlane(**detail["second"]) if "second" in detail else None,
    )


def _quality_from(values: Mapping[str, object] | None) -> ImageQuality | None:
    if values is None:
        return None
    plain = dict(values)
    background = plain.pop("background_rgb")
    return ImageQuality(background_rgb=tuple(background), **plain)  # type: ignore[arg-type]


def finding_row(run: int, position: int, finding: Finding) -> tuple[object, ...]:
    """Values of table `findings`, in order."""
    numbers = (
        finding.probability,
        finding.x_um,
        finding.y_um,
        finding.z_um,
        finding.x_px,
        finding.y_px,
        finding.width_px,
        finding.height_px,
    )
    return (run, int(finding.field_index), position, finding.label, *map(float, numbers))


def finding_from(row: sqlite3.Row) -> Finding:
    """A finding from the columns FINDING_COLUMNS."""
    return Finding(
        field_index=row["field"],
        label=row["label"],
        probability=row["probability"],
        x_um=row["x_um"],
        y_um=row["y_um"],
        z_um=row["z_um"],
        x_px=row["x_px"],
        y_px=row["y_px"],
        width_px=row["width_px"],
        height_px=row["height_px"],
    )
