"""The INT8 gates of a label-free package: `python -m engines.training.label_free.gates SLIDES --package P …`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import onnx
import typer

from engines.onnx_cpu import OnnxCpuScorer
from engines.package import load_package
from engines.qdq_rules import lint
from engines.training.assess.float_scorer import FloatNetwork
from engines.training.label_free.parity import rank_parity
from engines.training.label_free.pictures import find_fields, read_field
from engines.training.label_free.statistics import poisson_excess, threshold_for
from engines.training.label_free.twin import SlideSeen, look_with, see
from engines.training.metrics import auroc

_RATE = 1e-3
_PICTURES = 24


def main(
    slides: Annotated[Path, typer.Argument(help="Folder of slides, as `twin write` makes them.")],
    package: Annotated[Path, typer.Option(help="The INT8 package.")],
    fp32: Annotated[Path, typer.Option(help="The network before quantisation, as training leaves it in its folder.")],
    fields: Annotated[int, typer.Option(min=1, help="Fields of each slide.")] = 12,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Rank correlation, slide AUROC and sensitivity at a fixed false rate, FP32 against INT8 on the same fields."""
    loaded = load_package(package)
    quantised = onnx.load_from_string(loaded.onnx_bytes)
    full = FloatNetwork(fp32).probabilities
    scorer = OnnxCpuScorer(loaded)
    threshold = loaded.operating_point.threshold
    found = find_fields(slides)
    wide = see(look_with(full, threshold), found, fields)
    narrow = see(look_with(scorer.probabilities, threshold), found, fields)
    pictures = [p for f in found[:: max(1, len(found) // _PICTURES)] if (p := read_field(f.path)) is not None]
    figures = {
        "lint": [breach.what for breach in lint(quantised)],
        "spearman": round(rank_parity(full, scorer, pictures), 5),
        "fp32": _figures(wide),
        "int8": _figures(narrow),
    }
    typer.echo(json.dumps(figures, indent=2))
    if json_path is not None:
        json_path.write_text(json.dumps(figures, indent=2), encoding="utf-8")


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
