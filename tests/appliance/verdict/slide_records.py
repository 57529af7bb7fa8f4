"""Slides as plain records, for the verdict's tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from appliance.records import FieldRecord, Finding, FocusResult, ImageQuality, Outcome, SlideRun
from engines.scorer import OperatingPoint

HPF_MM2 = 0.031415926535897934
GOOD = ImageQuality((190.0, 190.0, 160.0), 0.0, 0.6, 0.2, 0.005, 6.0)
INK = ImageQuality((10.0, 10.0, 10.0), 0.0, 2.0, 1.0, 0.99, 1.0)
EMPTY = ImageQuality((220.0, 220.0, 210.0), 0.0, 0.02, 0.0, 0.0, 1.0)


def run(assay: str, planned: int, *, field_mm2: float = 0.2, **extra: str) -> SlideRun:
    return SlideRun(
        run_id="r1",
        accession="S1",
        slide="A",
        run=1,
        assay=assay,
        magnification=450,
        na=0.5,
        um_per_px=0.293,
        field_width_um=1000.0,
        field_height_um=field_mm2 * 1000.0,
        planned_fields=planned,
        plan_sha256="0" * 64,
        engine="e 1.0.0",
        backend="onnx-cpu",
        onnx_sha256="1" * 64,
        settings_sha256="2" * 64,
        app_version="0.1.0",
        operator="tester",
        started_at=datetime(2026, 1, 1, tzinfo=timezone.utc),
        extra=extra,
    )


def field(
    index: int,
    outcome: Outcome = Outcome.USABLE,
    *,
    reason: str = "",
    quality: ImageQuality | None = GOOD,
    **counts: int,
) -> FieldRecord:
    return FieldRecord(
        index=index,
        x_um=1000.0 * index,
        y_um=0.0,
        outcome=outcome,
        reason=reason,
        focus=FocusResult(3000.0, 0.2, 1.0, "bracketed", 3),
        quality=quality,
        counts=counts,
        seconds={},
        recorded_at=datetime(2026, 1, 1, tzinfo=timezone.utc),
    )


def fields(usable: int, *, blank: int = 0, failed: int = 0, **counts: int) -> list[FieldRecord]:
    """Usable, then blank, then failed fields; the counts are spread evenly over the usable ones."""
    records = []
    for index in range(usable):
        share = {k: n // usable + (1 if index < n % usable else 0) for k, n in counts.items()}
        records.append(field(index, **share))
    records += [field(usable + k, Outcome.BLANK, reason="blank", quality=EMPTY) for k in range(blank)]
    records += [
        field(usable + blank + k, Outcome.FAILED, reason="not focused: flat", quality=None) for k in range(failed)
    ]
    return records


def finding(field: int, label: str, probability: float) -> Finding:
    return Finding(field, label, probability, 0.0, 0.0, 3000.0, 10.0, 10.0, 20.0, 20.0)


def findings(label: str, probabilities: Sequence[float], field: int = 0) -> list[Finding]:
    return [finding(field, label, p) for p in probabilities]


def afb_point(*, sensitivity: float = 1.0, false_per_mm2: float = 0.0) -> OperatingPoint:
    return OperatingPoint("afb-test-1", 0.5, sensitivity, false_per_mm2, 0.0, {}, "drawn for tests")


def serous_point(*, sensitivity: float = 0.8, false_per_cell: float = 1e-3) -> OperatingPoint:
    cutoffs = {"t1": 0.30, "t2": 0.60, "t3": 0.90}
    return OperatingPoint("serous-test-1", 0.5, sensitivity, 0.0, false_per_cell, cutoffs, "drawn for tests")
