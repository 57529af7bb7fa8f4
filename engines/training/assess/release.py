"""Measure a package for release: figures, gates, pictures and card, all into its folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import onnx

from engines.errors import EngineError
from engines.package import EnginePackage, load_package
from engines.qdq_float import to_float
from engines.training.assess.crops import assess_crops, crop_gates, crop_scores
from engines.training.assess.figures import (
    Bench,
    as_json,
    control_figures,
    gate_figures,
    measure_slides,
    object_figures,
    robustness_figures,
)
from engines.training.assess.float_scorer import FloatNetwork
from engines.training.assess.measured import read_measured, write_measured
from engines.training.assess.plots import picture_findings, plot_froc, plot_witness
from engines.training.crops import read_crops, select
from engines.training.packaging import open_scorer
from engines.training.subjects import SEROUS, SUBJECTS, Subject

_log = logging.getLogger(__name__)

_FIELDS_SHOWN = 3


@dataclass(frozen=True)
class Inputs:
    """What a release is measured with.

    package: its folder. fp32: the network before quantisation; None: no longer at hand, and the package's own file
    without the rounding of activations stands in for it (its weights keep theirs). kept: where rendered fields are
    kept. slides: of the test seeds. crops: real crops, for AFB. whole: figures of whole slides and of speed from the
    application's benches, by name (witness, grades, speed), taken over as they are.
    """

    package: Path
    fp32: Path | None
    kept: Path
    slides: int
    crops: Path | None
    whole: Mapping[str, Any]
    command: str


def release(inputs: Inputs) -> list[str]:
    """Write `measured.json`, the pictures and the card; returns what failed, in words."""
    package = load_package(inputs.package)
    learned = learned_before(package)
    return _write(package, {**learned, **_measure(inputs, package, _subject(package, label_free=bool(learned)))})


def take_over(folder: Path, whole: Mapping[str, Any]) -> list[str]:
    """Write `whole` (as in `Inputs`) beside what was measured before, and the card anew; returns what failed, in words.

    Raises EngineError when nothing was measured of the network in `folder`.
    """
    package = load_package(folder)
    return _write(package, {**read_measured(package), **whole})


def _write(package: EnginePackage, measured: Mapping[str, Any]) -> list[str]:
    if "witness" in measured:
        plot_witness(package.folder / "witness.png", measured["witness"]["rows"], package.title)
    write_measured(package, measured)
    checks = [*measured.get("gates", ()), *measured.get("controls", ())]
    return [f"{check['name']} failed: {check}" for check in checks if not check["passed"]]


def learned_before(package: EnginePackage) -> dict[str, Any]:
    """Of a label-free package: what is known of how it learned, which is not measured here."""
    try:
        before = read_measured(package)
    except EngineError:  # nothing, or of the network that lay here before
        return {}
    return {key: before[key] for key in ("learned", "twin_slides", "methods") if key in before}


def _subject(package: EnginePackage, *, label_free: bool) -> Subject:
    name = SEROUS.name if label_free else package.manifest.name
    if name not in SUBJECTS:
        raise EngineError(
            f"{package.title} is no network of this repository's training.",
            remedy="Measure it with `cytoscan engine evaluate`.",
        )
    return SUBJECTS[name]


def _measure(inputs: Inputs, package: EnginePackage, subject: Subject) -> dict[str, Any]:
    """Objects, gates, changes, controls and crops; their pictures are written."""
    int8 = open_scorer(inputs.package)
    unrounded = inputs.fp32 or to_float(onnx.load_from_string(package.onnx_bytes)).SerializeToString()
    bench = Bench.of(subject, package, int8, FloatNetwork(unrounded), inputs.slides, inputs.kept)
    parts = measure_slides(bench, int8)
    measured: dict[str, Any] = {
        "command": inputs.command,
        "objects": object_figures(bench, parts),
        "gates": gate_figures(bench),
        "fp32": "before quantisation" if inputs.fp32 else "activations only",
        "changes": robustness_figures(bench),
        "controls": control_figures(bench),
        **inputs.whole,
    }
    if inputs.crops is not None:
        held_back = select(read_crops(inputs.crops), "test")
        before, after = (crop_scores(network, subject, held_back) for network in (bench.fp32, bench.int8))
        measured["crops"] = assess_crops(after, held_back, bench.threshold)
        measured["gates"] += as_json(crop_gates(before, after, held_back))
    plot_froc(inputs.package / "froc.png", parts, bench.depth_um, package.title)
    shown = chain.from_iterable(islice(bench.tiles(spec), _FIELDS_SHOWN) for spec in bench.slides)
    picture_findings(inputs.package / "findings.png", int8, subject, shown)
    return measured
