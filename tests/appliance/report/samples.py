"""Slides for the report tests: plausible, made from a seed, with drawn pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import cv2
import numpy as np

from appliance.assays import load_assay
from appliance.records import FieldRecord, Finding, FocusResult, ImageQuality, Outcome, SlideRun
from appliance.report import FindingPicture, ReportData
from appliance.verdict import form_verdict
from engines.scorer import OperatingPoint

START = datetime(2026, 11, 23, 8, 15, tzinfo=timezone.utc)
CROP_PX = 128


def run_of(assay: str, planned: int, **changes: object) -> SlideRun:
    high = assay == "afb"
    um_per_px = 0.1465 if high else 0.293
    facts: dict[str, object] = {
        "run_id": "0190d3c2-7f3e-7c1a-9a55-2f6d1b0c9e44",
        "accession": "S26-001234",
        "slide": "A1",
        "run": 2,
        "assay": assay,
        "magnification": 900 if high else 450,
        "na": 0.75 if high else 0.5,
        "um_per_px": um_per_px,
        "field_width_um": 1928 * um_per_px,
        "field_height_um": 1208 * um_per_px,
        "planned_fields": planned,
        "plan_sha256": "3c" * 32,
        "engine": f"{assay} 1.0.0",
        "backend": "onnxruntime 1.23.2 CPU, 2 threads",
        "onnx_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "settings_sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "app_version": "0.1.0",
        "operator": "u:4711",
        "started_at": START,
    }
    return SlideRun(**{**facts, **changes})  # type: ignore[arg-type]


def fields_of(run: SlideRun, columns: int, count: int, *, rate: float, label: str, seed: int) -> list[FieldRecord]:
    """A serpentine of fields on a tilted, wavy slide, with some blank and failed ones."""
    rng = np.random.default_rng(seed)
    rows = math.ceil(count / columns)
    records = []
    for index in range(count):
        row, column = divmod(index, columns)
        column = column if row % 2 == 0 else columns - 1 - column
        x = 38000 + (column - (columns - 1) / 2) * run.field_width_um * 1.02
        y = 13000 + (row - (rows - 1) / 2) * run.field_height_um * 1.02
        z = 3004 + 0.0006 * (x - 38000) - 0.0004 * (y - 13000) + 0.7 * math.sin(x / 700) * math.cos(y / 500)
        z += float(rng.normal(0, 0.15))
        draw = rng.random()
        outcome, reason = Outcome.USABLE, ""
        if draw < 0.05:
            outcome, reason = Outcome.BLANK, "no cells"
        elif draw < 0.09:
            outcome, reason = Outcome.FAILED, "focus_not_found" if draw < 0.08 else "obscured_by_ink"
        good = outcome is Outcome.USABLE
        hits = int(rng.poisson(rate * rng.gamma(0.6, 1.6))) if good else 0
        focus = FocusResult(
            z_um=z,
            sigma_um=float(rng.gamma(4, 0.05)) if good else None,
            confidence=float(rng.uniform(0.7, 1.0)) if good else 0.1,
            reason="bracketed" if good else reason,
            exposures=int(rng.choice([2, 3, 4, 5], p=[0.2, 0.5, 0.2, 0.1])) if good else 6,
            predicted_z_um=z + float(rng.normal(0, 0.6)),
        )
        quality = ImageQuality(
            background_rgb=tuple(float(v) for v in rng.normal((214, 210, 196), 2)),  # type: ignore[arg-type]
            saturated=float(rng.exponential(0.0005)),
            stain_od=float(rng.normal(0.62, 0.07)),
            covered=float(rng.beta(3, 14)),
            obscured=float(rng.exponential(0.004)),
            sharpness=float(rng.gamma(8, 1.4)),
        )
        records.append(
            FieldRecord(
                index=index,
                x_um=x,
                y_um=y,
                outcome=outcome,
                reason=reason,
                focus=focus,
                quality=quality,
                counts={label: hits} if hits else {},
                seconds={"move": 0.09, "settle": 0.16, "focus": 0.24, "expose": 0.03, "score": 0.35, "host": 0.02},
                recorded_at=START + timedelta(seconds=0.9 * (index + 1)),
            )
        )
    return records


def crop_of(assay: str, rng: np.random.Generator, *, png: bool) -> bytes:
    """A drawn picture: one rod (AFB) or one dark nucleus among paler ones."""
    ground = (150, 182, 186) if assay == "afb" else (222, 226, 224)
    picture = np.full((CROP_PX, CROP_PX, 3), ground, np.uint8)
    for _ in range(9):
        centre = tuple(int(v) for v in rng.integers(0, CROP_PX, 2))
        size = tuple(int(v) for v in rng.integers(9, 22, 2))
        cv2.ellipse(picture, centre, size, float(rng.uniform(0, 180)), 0, 360, (205, 160, 120), -1, cv2.LINE_AA)
    if assay == "afb":
        turn = rng.uniform(0, math.pi)
        arm = np.array([math.cos(turn), math.sin(turn)]) * 13
        start, end = (64 + arm).astype(int).tolist(), (64 - arm).astype(int).tolist()
        cv2.line(picture, start, end, (88, 20, 190), 4, cv2.LINE_AA)
    else:
        cv2.circle(picture, (64, 64), 27, (190, 150, 160), -1, cv2.LINE_AA)
        cv2.ellipse(picture, (66, 62), (20, 16), float(rng.uniform(0, 180)), 0, 360, (110, 45, 70), -1, cv2.LINE_AA)
    noise = rng.normal(0, 3, picture.shape)
    picture = np.clip(cv2.GaussianBlur(picture, (0, 0), 1.0) + noise, 0, 255).astype(np.uint8)
    done, encoded = cv2.imencode(".png" if png else ".jpg", picture)
    assert done
    return encoded.tobytes()


def pictures_of(run: SlideRun, fields: Sequence[FieldRecord], label: str, most: int, seed: int) -> list[FindingPicture]:
    rng = np.random.default_rng(seed)
    best = sorted((f for f in fields if f.counts.get(label)), key=lambda f: -f.counts[label])[:most]
    pictures = []
    for rank, f in enumerate(best):
        half = 18 if run.assay == "afb" else 30
        finding = Finding(
            field_index=f.index,
            label=label,
            probability=0.995 - 0.012 * rank,
            x_um=f.x_um + float(rng.uniform(-0.4, 0.4)) * run.field_width_um,
            y_um=f.y_um + float(rng.uniform(-0.4, 0.4)) * run.field_height_um,
            z_um=f.focus.z_um,
            x_px=400.0,
            y_px=300.0,
            width_px=2.0 * half,
            height_px=2.0 * half,
        )
        box = (64.0 - half, 64.0 - half, 2.0 * half, 2.0 * half)
        image = crop_of(run.assay, rng, png=rank % 5 == 4)
        pictures.append(FindingPicture(finding, image, CROP_PX, CROP_PX, box, run.um_per_px))
    return pictures


def judged(run: SlideRun, fields: Sequence[FieldRecord], point: OperatingPoint, *, most: int, seed: int) -> ReportData:
    """The report of a slide with the verdict that its fields lead to."""
    assay = load_assay(run.assay)
    pictures = pictures_of(run, fields, assay.labels.targets[0], most, seed)
    verdict = form_verdict(assay, run, fields, [p.finding for p in pictures], point)
    made = START + timedelta(minutes=3)
    return ReportData(run, verdict, fields, pictures, "accepted", made, map_labels=assay.labels.targets)


TIS_POINT = OperatingPoint(
    name="serous-t-2026-11",
    threshold=0.5,
    sensitivity=0.86,
    false_per_mm2=0.0,
    false_per_cell=0.0012,
    cutoffs={"t1": 0.3, "t2": 0.55, "t3": 0.8},
    source="drawn for tests",
)
AFB_POINT = OperatingPoint(
    name="afb-p-2026-11",
    threshold=0.5,
    sensitivity=0.9,
    false_per_mm2=0.15,
    false_per_cell=0.0,
    cutoffs={},
    source="drawn for tests",
)


def serous(count: int = 64, columns: int = 10, most: int = 12) -> ReportData:
    """A malignant effusion of which four planned fields were not reached."""
    run = run_of("serous", count + 4, extra={"volume_ml": "40"})
    rng = np.random.default_rng(9)
    malignant = fields_of(run, columns, count, rate=2.2, label="malignant", seed=1)
    fields = [replace(f, counts={**f.counts, "benign": int(rng.poisson(170))}) if f.counts else f for f in malignant]
    return judged(run, fields, TIS_POINT, most=most, seed=2)


def sputum(count: int = 96, columns: int = 16, most: int = 12) -> ReportData:
    """A 1+ smear on which less than the recommended area was read; the hub has not answered yet."""
    run = run_of("afb", count, accession="S26-001235", slide="B", run=1)
    fields = fields_of(run, columns, count, rate=0.9, label="afb", seed=5)
    return replace(judged(run, fields, AFB_POINT, most=most, seed=6), receipt=None)


def unsatisfactory() -> ReportData:
    """A slide covered with ink: nothing usable, nothing found."""
    run = run_of("serous", 64)
    fields = [
        FieldRecord(
            index=k,
            x_um=38000.0 + 570 * (k % 8),
            y_um=13000.0 + 360 * (k // 8),
            outcome=Outcome.FAILED if k % 3 else Outcome.BLANK,
            reason="obscured_by_ink" if k % 3 else "no cells",
            focus=FocusResult(3000.0, None, 0.0, "refused", 4),
            quality=None,
            counts={},
            seconds={},
            recorded_at=START,
        )
        for k in range(64)
    ]
    return replace(judged(run, fields, TIS_POINT, most=0, seed=0), receipt="rejected")
