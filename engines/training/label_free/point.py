"""Measure a label-free package on twin slides and write what was found into its manifest and card.

A site has no malignant slides and keeps the point that held-back negatives gave it (`settle`). The shipped package can
be measured on twin slides: `python -m engines.training.label_free.point PACKAGE --slides VALIDATION`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from engines.errors import EngineError
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import MANIFEST, load_package
from engines.training.assess.measured import read_measured, write_measured
from engines.training.label_free.pictures import find_fields
from engines.training.label_free.twin import figures_of, look_with, see


def main(
    package: Annotated[Path, typer.Argument(help="Package to measure and to write to.")],
    slides: Annotated[Path, typer.Option(help="Validation slides, as `twin write` makes them.")],
    test: Annotated[Path | None, typer.Option(help="JSON of `twin measure` on test slides, for the card.")] = None,
    ablation: Annotated[Path | None, typer.Option(help="ablation.json of `label_free.ablation`, for the card.")] = None,
    cutoffs: Annotated[
        tuple[float, float, float] | None,
        typer.Option(help="t1 t2 t3, `suggested_cutoffs` of `cytoscan bench verdict` on validation seeds."),
    ] = None,
) -> None:
    """False rate on negative validation slides, sensitivity on the others; the threshold stays as it was settled."""
    loaded = load_package(package)
    before = read_measured(loaded)
    seen = see(look_with(OnnxCpuScorer(loaded).probabilities, loaded.operating_point.threshold), find_fields(slides))
    negative = [s.cells for s in seen if not s.positive]
    if not negative or len(negative) == len(seen):
        raise EngineError(f"{slides} must hold slides of both kinds.", remedy="Render them with --malignant above 0.")
    figures = figures_of(seen, loaded.operating_point.threshold, loaded.operating_point.false_per_cell)
    false, cells = int(str(figures["false_findings"])), int(str(figures["cells_on_negative_slides"]))
    point = {
        **loaded.manifest.operating_point.model_dump(),
        "name": "validation",
        "sensitivity": figures["sensitivity"],
        "false_per_cell": round((false + 0.5) / cells, 6),
        "source": _source(figures),
    }
    if cutoffs is not None:
        point["cutoffs"] = dict(zip(("t1", "t2", "t3"), cutoffs, strict=True))
    _rewrite(package, point)
    settled = load_package(package)
    measured = {**before, "twin_slides": {"validation": _brief(figures)}}
    if test is not None:
        measured["twin_slides"]["test"] = _brief(json.loads(test.read_text(encoding="utf-8")))
    if ablation is not None:
        measured["methods"] = json.loads(ablation.read_text(encoding="utf-8"))
    write_measured(settled, measured)
    typer.echo(json.dumps({"point": point, **figures}, indent=2))


def _brief(figures: dict[str, Any]) -> dict[str, Any]:
    """The figures without those of each slide."""
    return {key: value for key, value in figures.items() if key != "each"}


def _source(figures: dict[str, Any]) -> str:
    return (
        f"{figures['slides']} twin slides (validation seeds), {figures['positive']} of them with malignant cells: "
        f"{figures['malignant_cells']}, and {figures['cells_on_negative_slides']} counted cells on the others; "
        "threshold from held-back negative slides; no malignant cell took part in training"
    )


def _rewrite(package: Path, point: dict[str, Any]) -> None:
    manifest = yaml.safe_load((package / MANIFEST).read_text(encoding="utf-8"))
    manifest["operating_point"] = point
    text = yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True, width=110)
    (package / MANIFEST).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
