"""Measure shipped packages on data they were not trained on: `python -m engines.training.evaluate --help`."""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from engines.onnx_cpu import OnnxCpuScorer
from engines.package import load_package, shipped
from engines.training import seeds
from engines.training.crops import CropSet, read_crops, select, to_native
from engines.training.fields import field_tiles, measure
from engines.training.metrics import auroc, auroc_interval, average_precision
from engines.training.subjects import AFB, SEROUS, Subject

_SIDE = 64
_REACH = 1


def crop_scores(scorer: OnnxCpuScorer, crops: CropSet) -> NDArray[np.float64]:
    """One score for each crop: the highest probability within a cell of its centre, (N,)."""
    native = AFB.scale.native_um_per_px
    middle = _SIDE // 2 // AFB.stride
    area = slice(middle - _REACH, middle + _REACH + 1)
    return np.array(
        [float(scorer.probabilities(to_native(crop, native, _SIDE))[0, area, area].max()) for crop in crops.crops]
    )


def evaluate_crops(scorer: OnnxCpuScorer, crops: CropSet, threshold: float) -> dict[str, Any]:
    """Ranking of crops with and without a bacillus, interval by source picture; rates at `threshold`."""
    scores = crop_scores(scorer, crops)
    positive = np.array([crop.positive for crop in crops.crops], np.bool_)
    groups = np.array([crop.group for crop in crops.crops], np.int64)
    low, high = auroc_interval(scores, positive, groups, np.random.default_rng(0))
    return {
        "auroc": round(auroc(scores, positive), 4),
        "auroc_ci": [round(low, 4), round(high, 4)],
        "ap": round(average_precision(scores, positive), 4),
        "sensitivity_at_threshold": round(float((scores[positive] >= threshold).mean()), 4),
        "false_positives_at_threshold": round(float((scores[~positive] >= threshold).mean()), 4),
        "n": len(crops.crops),
        "groups": int(np.unique(groups).size),
        "unreadable": list(crops.unreadable),
    }


def evaluate_slides(scorer: OnnxCpuScorer, subject: Subject, slides: int, fields: int, rate: float) -> dict[str, Any]:
    """Counts of each unseen twin slide, every second one without targets, and how well the counts rank the slides."""
    rows: list[dict[str, Any]] = []
    threshold = scorer.threshold
    for index in range(slides):
        positive = index % 2 == 0
        measured = measure(scorer, subject, field_tiles(subject, seeds.TEST[index], rate if positive else 0.0, fields))
        target = measured[0]
        row: dict[str, Any] = {"seed": seeds.TEST[index], "positive": positive, "cells": target.cells}
        for label, part in zip(subject.labels, measured, strict=True):
            found = int((part.matches.scores >= threshold).sum())
            row[label.name] = {
                "objects": int(part.matches.best.size),
                "found": int((part.matches.best >= threshold).sum()),
                "false": part.false_count(threshold),
                "counted": found,
            }
        row["area_mm2"] = round(target.area_mm2, 3)
        typer.echo(json.dumps(row))
        rows.append(row)
    name = subject.labels[0].name
    score = np.array([row[name]["counted"] / max(1, row["cells"] or 1) for row in rows])
    positive_slides = np.array([row["positive"] for row in rows], np.bool_)
    return {"slide_auroc": round(auroc(score, positive_slides), 4), "slides": rows}


def evaluate_speed(scorer: OnnxCpuScorer, subject: Subject, runs: int = 12) -> dict[str, Any]:
    """Time from a uint8 field to findings on one thread, and what the process has taken of memory at most."""
    (tile,) = field_tiles(subject, seeds.TEST[0], 0.05 if subject is SEROUS else 300.0, 1)
    taken = []
    for _ in range(runs):
        started = time.perf_counter()
        found = scorer.score(tile.picture, subject.microscope.um_per_px)
        taken.append((time.perf_counter() - started) * 1e3)
    return {
        "field": list(tile.picture.shape),
        "findings": len(found),
        "ms_median": round(float(np.median(taken)), 1),
        "ms_best": round(min(taken), 1),
        "process_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main(
    *,
    crops: Annotated[Path | None, typer.Option(help="folder with afb and non_afb; its held-back fifth is used")] = None,
    whole: Annotated[bool, typer.Option("--all", help="use every crop, not only the held-back fifth")] = False,
    afb_slides: Annotated[int, typer.Option(help="unseen twin sputum slides")] = 0,
    density: Annotated[float, typer.Option(help="bacilli per mm² on every second of them")] = 100.0,
    serous_slides: Annotated[int, typer.Option(help="unseen twin serous slides")] = 0,
    malignant: Annotated[float, typer.Option(help="share of malignant cells on every second of them")] = 0.01,
    fields: Annotated[int, typer.Option(help="fields of each slide")] = 6,
    speed: Annotated[bool, typer.Option(help="time one field on one thread")] = False,
    package: Annotated[Path | None, typer.Option(help="package to measure; the shipped one when not given")] = None,
    out: Annotated[Path | None, typer.Option("--json", help="where to write the figures")] = None,
) -> None:
    """Print figures of an INT8 package through ONNX Runtime."""
    result: dict[str, Any] = {}
    if crops is not None:
        everything = read_crops(crops)
        scorer = _scorer(package, "afb")
        result["crops"] = evaluate_crops(scorer, everything if whole else select(everything, "test"), scorer.threshold)
        typer.echo(json.dumps(result["crops"]))
    if afb_slides:
        result["afb"] = evaluate_slides(_scorer(package, "afb"), AFB, afb_slides, fields, density)
        typer.echo(f"slide AUROC {result['afb']['slide_auroc']}")
    if serous_slides:
        result["serous"] = evaluate_slides(_scorer(package, "serous"), SEROUS, serous_slides, fields, malignant)
        typer.echo(f"slide AUROC {result['serous']['slide_auroc']}")
    if speed:
        for subject in (AFB, SEROUS):
            result[f"{subject.assay}_speed"] = evaluate_speed(_scorer(None, subject.assay), subject)
            typer.echo(json.dumps({subject.assay: result[f"{subject.assay}_speed"]}))
    if out is not None:
        out.write_text(json.dumps(result, indent=2), encoding="utf-8")


def _scorer(package: Path | None, assay: str) -> OnnxCpuScorer:
    return OnnxCpuScorer(load_package(package or shipped(assay)))


if __name__ == "__main__":
    typer.run(main)
