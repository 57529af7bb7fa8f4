"""The INT8 gates of a label-free package: `python -m engines.training.label_free.gates SLIDES --package P …`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import onnx
import typer
from onnx import numpy_helper

from engines.onnx_cpu import OnnxCpuScorer
from engines.package import load_package
from engines.qdq_rules import lint
from engines.training.architecture import INPUT_SCALE
from engines.training.export import build_onnx
from engines.training.label_free.learn import STAGES
from engines.training.label_free.parity import rank_parity, session_of
from engines.training.label_free.pictures import find_fields, read_field
from engines.training.label_free.statistics import poisson_excess, threshold_for
from engines.training.label_free.twin import SlideSeen, look_with, see
from engines.training.loop import load_weights
from engines.training.metrics import auroc
from engines.training.network import HeatmapNet

_RATE = 1e-3
_PICTURES = 24


def main(
    slides: Annotated[Path, typer.Argument(help="Folder of slides, as `twin write` makes them.")],
    package: Annotated[Path, typer.Option(help="The INT8 package.")],
    checkpoint: Annotated[Path, typer.Option(help="The checkpoint it was made from.")],
    fields: Annotated[int, typer.Option(min=1, help="Fields of each slide.")] = 12,
) -> None:
    """Rank correlation, slide AUROC and sensitivity at a fixed false rate, FP32 against INT8 on the same fields."""
    loaded = load_package(package)
    quantised = onnx.load_from_string(loaded.onnx_bytes)
    net = HeatmapNet(STAGES, len(loaded.manifest.labels))
    load_weights(net, checkpoint)
    layers = net.eval().folded()
    # The package's last bias carries the shift of its thresholds; with it both networks count alike.
    biases = {i.name: numpy_helper.to_array(i) for i in quantised.graph.initializer}
    layers[-1] = replace(layers[-1], bias=biases[f"conv{len(layers) - 1}_bias"])
    full = session_of(build_onnx(layers, INPUT_SCALE, loaded.manifest.name))
    scorer = OnnxCpuScorer(loaded)
    threshold = loaded.operating_point.threshold
    found = find_fields(slides)
    wide = see(look_with(full, threshold), found, fields)
    narrow = see(look_with(scorer.probabilities, threshold), found, fields)
    pictures = [p for f in found[:: max(1, len(found) // _PICTURES)] if (p := read_field(f.path)) is not None]
    typer.echo(
        json.dumps(
            {
                "lint": [breach.what for breach in lint(quantised)],
                "spearman": round(rank_parity(full, scorer, pictures), 5),
                "fp32": _figures(wide),
                "int8": _figures(narrow),
            },
            indent=2,
        )
    )


def _figures(seen: list[SlideSeen]) -> dict[str, float]:
    """Slide AUROC and sensitivity where one in a thousand cells of negative slides is called atypical."""
    threshold = threshold_for([s.cells for s in seen if not s.positive], _RATE)
    positive = np.array([s.positive for s in seen])
    excess = np.array([poisson_excess(s.cells, threshold, _RATE) for s in seen])
    malignant = np.concatenate([s.malignant for s in seen])
    return {
        "auroc": round(auroc(excess, positive), 4),
        f"sensitivity_at_{_RATE:g}_false_per_cell": round(float((malignant >= threshold).mean()), 4),
    }


if __name__ == "__main__":
    typer.run(main)
