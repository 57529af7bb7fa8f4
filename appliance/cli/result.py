"""The machine-readable result of a scan, and of any bench."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from appliance.assays.model import AfbGrading, Assay
from appliance.cli.reading import SlideReading
from appliance.verdict.plain import verdict_json


def scan_result(reading: SlideReading, assay: Assay, receipt: str | None, wall_s: float) -> dict[str, object]:
    """Plain JSON data. `verdict` has `grade` for AFB and `category` otherwise, `category` always; findings in µm."""
    verdict = verdict_json(reading.verdict)
    if isinstance(assay.grading, AfbGrading):
        verdict["grade"] = reading.verdict.category
    run = reading.run
    return {
        "run_id": run.run_id,
        "accession": run.accession,
        "slide": run.slide,
        "run": run.run,
        "assay": run.assay,
        "verdict": verdict,
        "fields": asdict(reading.verdict.fields),
        "findings": [asdict(finding) for finding in reading.findings],
        "receipt": receipt,
        "backend": {"engine": run.engine, "runtime": run.backend, "onnx_sha256": run.onnx_sha256},
        "resumed_fields": reading.resumed,
        "report": str(reading.report),
        "wall_s": round(wall_s, 3),
    }


def write_json(path: Path, data: Mapping[str, object]) -> None:
    """Write a result so that a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(data, indent=2, default=str) + "\n", encoding="utf-8")
    partial.replace(path)
