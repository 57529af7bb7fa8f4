"""`cytoscan engine import`: a customer's network becomes a checked package."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from appliance.assays import load_assay
from appliance.assays.model import Assay
from appliance.cli.engine_labels import labels_for, scale_for
from appliance.cli.engine_options import (
    normalisation_from,
    operating_point_from,
    package_name,
    package_version_from,
)
from appliance.cli.plain_console import plain_console
from appliance.cli.result import write_json
from engines.importing import Imported, Request, import_network


class Head(str, Enum):
    """What turns the network's answers into probabilities."""

    NONE = "none"
    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"


def import_engine(
    model: Annotated[
        Path, typer.Argument(help="FP32 ONNX: a heat map (N, labels, h, w) or a classifier (N, classes).")
    ],
    *,
    calibration: Annotated[Path, typer.Option(help="Folder of real fields of the assay, ten or more.")],
    assay: Annotated[str, typer.Option(help="serous or afb, or an assay file.")],
    out: Annotated[Path, typer.Option(help="Folder of the new package; must not exist.")],
    name: Annotated[str | None, typer.Option(help="Name of the package; default: the file's.")] = None,
    package_version: Annotated[str, typer.Option(help="Version of the package, as in 1.0.0.")] = "0.1.0",
    labels: Annotated[
        str | None, typer.Option(help="One for each class, in order, by comma; - is no object. Default: the assay's.")
    ] = None,
    box_um: Annotated[float | None, typer.Option(help="Side of the boxes drawn round objects, µm.", min=0.1)] = None,
    um_per_px: Annotated[
        float | None, typer.Option(help="Scale the network was trained at, ± 10 %. Default: the assay's.", min=0.01)
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="How float input is scaled: imagenet (default), 0-1, -1-1 or 0-255.")
    ] = None,
    mean: Annotated[str | None, typer.Option(help="R,G,B to subtract from pixels of 0 to 1; with --std.")] = None,
    std: Annotated[str | None, typer.Option(help="R,G,B to divide by; with --mean.")] = None,
    head: Annotated[Head, typer.Option(help="What to add when the network answers logits.")] = Head.NONE,
    output: Annotated[str | None, typer.Option(help="Which output to use, when there are several.")] = None,
    tile: Annotated[int | None, typer.Option(help="Side of tiles for a network of any size, px.", min=16)] = None,
    step: Annotated[int | None, typer.Option(help="Step of a classifier's tiles, px. Default: half.", min=1)] = None,
    threshold: Annotated[float, typer.Option(help="Probability of a finding.", min=0.01, max=0.99)] = 0.5,
    operating_point: Annotated[
        Path | None, typer.Option(help="YAML of a measured operating point (as in a manifest), instead of --threshold.")
    ] = None,
    accept_loss: Annotated[bool, typer.Option("--accept-loss", help="Package it even if INT8 loses too much.")] = False,
    threads: Annotated[int, typer.Option(help="Processor cores.", min=1)] = 1,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Quantise a customer's FP32 ONNX on real fields, check it, compare it with FP32, and make a package of it."""
    console = plain_console()

    def tell(sentence: str) -> None:
        console.print(sentence)

    named = load_assay(assay)
    notes: list[str] = []
    point = operating_point_from(operating_point, threshold)
    request = Request(
        source=model,
        calibration=calibration,
        out=out,
        name=package_name(name or model.stem),
        version=package_version_from(package_version),
        assay=named.name,
        labels=labels_for(named, labels, box_um, notes),
        scale=scale_for(named, um_per_px, notes),
        normalisation=normalisation_from(preset, mean, std, notes),
        head=head.value,
        report_threshold=min(0.2, point.threshold),
        point=point,
        output=output,
        tile_px=tile,
        step_px=step,
        accept_loss=accept_loss,
        threads=threads,
        notes=tuple(notes),
    )
    for note in notes:
        tell(f"Assumed: {note}")
    imported = import_network(request, tell)
    _report(imported, named, tell)
    if json_path is not None:
        write_json(json_path, figures(imported))


def figures(imported: Imported) -> dict[str, object]:
    """Plain JSON data of an import."""
    manifest = imported.package.manifest
    return {
        "package": str(imported.package.folder),
        "name": imported.package.title,
        "parity": manifest.parity.model_dump() if manifest.parity else None,
        "parity_passed": imported.gate.passed,
        "operators": dict(imported.operators),
        "stride": manifest.output.stride,
        "tiling": manifest.tiling.model_dump() if manifest.tiling else None,
        "onnx_sha256": manifest.onnx.sha256,
        "calibration_images": manifest.quantisation.calibration_images,
        "unreadable": list(imported.pictures.unreadable),
        "repeated": list(imported.pictures.repeated),
        "operating_point": manifest.operating_point.name,
    }


def _report(imported: Imported, assay: Assay, tell: Callable[[str], None]) -> None:
    manifest = imported.package.manifest
    for path in imported.pictures.unreadable:
        tell(f"Left out, not readable: {path}")
    if manifest.parity is not None:
        verdict = "as wanted" if imported.gate.passed else f"below the {imported.gate.limit} that is wanted"
        tell(
            f"{imported.package.title}: all rules kept; rank correlation of INT8 with FP32 "
            f"{manifest.parity.spearman:.4f} ({verdict}), largest difference {manifest.parity.max_abs_delta:.4f}. "
            f"Package: {imported.package.folder}"
        )
    if manifest.operating_point.sensitivity == 0:
        tell(
            f"Its operating point is unmeasured: slides are not graded with it until it is. To try it: "
            f"--set engines.{assay.name}={imported.package.folder}"
        )
