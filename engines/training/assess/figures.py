"""All figures of one package, as plain data: what `measured.json` holds beside it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from engines.gates import Gate, all_gates
from engines.package import EnginePackage
from engines.training import seeds
from engines.training.assess.changes import CHANGES, changed
from engines.training.assess.crops import FALSE_POSITIVE_RATE
from engines.training.assess.defocus import DEPTHS, defocused_fields
from engines.training.assess.objects import (
    FROC_RATES,
    by_slide,
    expected_calibration_error,
    froc,
    precision_average,
    together,
)
from engines.training.assess.pairs import paired_scores
from engines.training.controls import run_controls
from engines.training.fields import Measured, Network, measure
from engines.training.kept_fields import SlideSpec, kept_fields
from engines.training.lineup import lineup
from engines.training.subjects import Subject
from engines.training.twin_tiles import Tile

_log = logging.getLogger(__name__)

_EDGES = (0.0, 0.25, 0.5, 0.75, 1.0)
_ROBUST_SLIDES, _ROBUST_FIELDS = 8, 2
_CONTROL_SLIDES = 16


@dataclass(frozen=True)
class Bench:
    """What is measured: the package's network, the same before quantisation, on which slides, kept where."""

    subject: Subject
    package: EnginePackage
    int8: Network
    fp32: Network
    slides: Sequence[SlideSpec]
    kept: Path

    @classmethod
    def of(
        cls, subject: Subject, package: EnginePackage, int8: Network, fp32: Network, slides: int, kept: Path
    ) -> Bench:
        """On `slides` slides of the test seeds."""
        return cls(subject, package, int8, fp32, lineup(subject, seeds.TEST, slides), kept)

    @property
    def threshold(self) -> float:
        """The package's operating point."""
        return self.package.manifest.operating_point.threshold

    @property
    def depth_um(self) -> float:
        """Depth of field."""
        return self.subject.microscope.depth_um

    def tiles(self, spec: SlideSpec) -> Iterator[Tile]:
        """The fields of one slide."""
        return kept_fields(self.kept, self.subject, spec)


def measure_slides(bench: Bench, network: Network) -> list[Measured]:
    """The target label on every slide of the bench."""
    found = []
    for number, spec in enumerate(bench.slides, 1):
        found.append(measure(network, bench.subject, bench.tiles(spec))[0])
        if number % 10 == 0:
            _log.info("%d of %d slides", number, len(bench.slides))
    return found


def object_figures(bench: Bench, parts: Sequence[Measured]) -> dict[str, object]:
    """Sensitivity, false findings, FROC, average precision and calibration, with intervals by slide."""
    whole, threshold, sharp_um = together(parts), bench.threshold, bench.depth_um / 2
    figures: dict[str, Callable[[Measured], float]] = {
        "sensitivity": lambda m: m.sensitivity(threshold),
        **({"share_found": lambda m: m.share_found(threshold)} if len(bench.subject.labels) == 1 else {}),
        "sensitivity_in_focus": lambda m: m.sensitivity(threshold, sharp_um),
        "false_per_field": lambda m: m.false_count(threshold) / m.fields,
        "average_precision": precision_average,
    }
    for rate in FROC_RATES:
        figures[f"froc_{rate:g}"] = lambda m, rate=rate: froc(m, rate)  # type: ignore[misc]
        figures[f"froc_in_focus_{rate:g}"] = lambda m, rate=rate: froc(m, rate, sharp_um)  # type: ignore[misc]
    rng = np.random.default_rng(0)
    return {
        "slides": len(parts),
        "fields": whole.fields,
        "area_mm2": round(whole.area_mm2, 2),
        "objects": int(whole.matches.best.size),
        "objects_in_focus": int((whole.off_focus_um <= sharp_um).sum()),
        "cells": whole.cells,
        "false_findings": whole.false_count(threshold),
        "calibration_error": round(expected_calibration_error(whole, bench.package.manifest.report_threshold), 4),
        **{name: by_slide(parts, figure, rng).as_json() for name, figure in figures.items()},
    }


def gate_figures(bench: Bench) -> list[dict[str, object]]:
    """INT8 against FP32: the gates of `engines.gates` on the same places."""
    tiles = (tile for spec in bench.slides for tile in bench.tiles(spec))
    scores = paired_scores(bench.fp32, bench.int8, bench.subject, tiles)
    gates = all_gates(scores, false_positive_rate=FALSE_POSITIVE_RATE, threshold=bench.threshold, edges=_EDGES)
    return as_json(gates)


def as_json(gates: Sequence[Gate]) -> list[dict[str, object]]:
    """`gates` as plain data, numbers to five places."""
    return [{k: round(v, 5) if isinstance(v, float) else v for k, v in asdict(gate).items()} for gate in gates]


def robustness_figures(bench: Bench) -> list[dict[str, object]]:
    """Sensitivity and false findings at the operating point when stain, lamp, codec or focus change."""
    positive = [spec for spec in bench.slides if spec.rate > 0][:_ROBUST_SLIDES]
    negative = [spec for spec in bench.slides if spec.rate == 0][:_ROBUST_SLIDES]
    tiles = [tile for spec in (*positive, *negative) for tile in islice(bench.tiles(spec), _ROBUST_FIELDS)]
    rows = [
        _row(bench, change.name, measure(bench.int8, bench.subject, changed(tiles, change.apply))[0])
        for change in CHANGES
    ]
    series = list(defocused_fields(bench.subject, [(spec.seed, spec.rate) for spec in positive]))
    for index, depth in enumerate(DEPTHS):
        measured = measure(bench.int8, bench.subject, [tiles[index] for tiles in series])[0]
        rows.append(_row(bench, f"focal plane {depth:g} depths of field away", measured))
    return rows


def _row(bench: Bench, name: str, measured: Measured) -> dict[str, object]:
    return {
        "change": name,
        "objects": int(measured.matches.best.size),
        "sensitivity": round(measured.sensitivity(bench.threshold), 4),
        "false_per_field": round(measured.false_count(bench.threshold) / measured.fields, 4),
    }


def control_figures(bench: Bench) -> list[dict[str, object]]:
    """The classifiers that must fail; of assays whose objects have two classes."""
    if len(bench.subject.labels) < 2:
        return []
    slides = [spec for spec in bench.slides if spec.rate > 0][:_CONTROL_SLIDES]
    controls = run_controls([list(bench.tiles(spec)) for spec in slides])
    return [{**asdict(control), "auroc": round(control.auroc, 4), "passed": control.passed} for control in controls]
