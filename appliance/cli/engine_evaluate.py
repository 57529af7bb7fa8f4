"""`cytoscan engine evaluate`: what an engine is worth on crops, fields or slides that nobody here has seen."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.progress import track
from rich.table import Table

from appliance.assays import load_assay
from appliance.assays.model import Assay
from appliance.cli.bench_reading import Job, Magnification, half_positive, read_slides
from appliance.cli.engine_evaluate_slides import slide_figures
from appliance.cli.plain_console import plain_console
from appliance.cli.result import write_json
from appliance.cli.scoring import engine_folder, scorer
from appliance.errors import ApplianceError
from appliance.settings import OpticsSection, Settings, load_settings
from engines.evaluate.boxes import read_boxes
from engines.evaluate.crops import evaluate_crops, find_crops
from engines.evaluate.fields import evaluate_fields, find_fields
from engines.evaluate.target import Target
from engines.package import load_package
from engines.training.crops import CROP_UM_PER_PX

_MALIGNANT, _AFB_PER_HPF, _FIELDS = 0.01, 0.5, 60
_File = TypeVar("_File")
_SOURCES = ("--crops", "--fields", "--slides")


def evaluate(
    file: Annotated[Path | None, typer.Argument(help="Write the figures here as JSON, too.")] = None,
    *,
    assay: Annotated[
        str | None, typer.Option(help="serous or afb. Default: that of --engine; with --slides serous.")
    ] = None,
    crops: Annotated[
        Path | None,
        typer.Option(
            help="Folder with two subfolders, of crops with the target (as afb) and without (as non_afb: its name "
            "begins with non, neg, no_, not, without, benign, background, normal or healthy). The first number in a "
            "file's name is its group; a crop's score is the highest target probability in it."
        ),
    ] = None,
    fields: Annotated[
        Path | None,
        typer.Option(
            help="Folder of whole fields and boxes.csv; pictures without boxes are without the target. A subfolder, "
            "or else the first number in a file's name, is its group."
        ),
    ] = None,
    slides: Annotated[
        int | None, typer.Option(help="How many slides of the twin, every second one positive.", min=2)
    ] = None,
    engine: Annotated[Path | None, typer.Option(help="Engine package; default: the shipped one.")] = None,
    magnification: Annotated[
        int | None, typer.Option(help="450 or 900: of the twin, and of the shipped engine. Default: the assay's.")
    ] = None,
    um_per_px: Annotated[
        float | None,
        typer.Option(
            help=f"Scale of the pictures. Default: the engine's own; for crops of the assay afb {CROP_UM_PER_PX:.4f}, "
            "that of the public Ziehl-Neelsen crops.",
            min=0.001,
        ),
    ] = None,
    centred: Annotated[
        bool, typer.Option("--centred", help="Crops: score only the middle of each, as the model cards do.")
    ] = False,
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="CSV with the header file,x,y,width,height[,label]: a line for each target object, x and y its left "
            "top corner, in pixels of the picture. Default: boxes.csv in the folder of --fields."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the first slide; below 1000000 none is trained on.", min=0)] = 7000,
    malignant: Annotated[
        float | None,
        typer.Option(help=f"Serous: malignant share of positive slides. Default: {_MALIGNANT}.", min=1e-6, max=1.0),
    ] = None,
    afb_per_hpf: Annotated[
        float | None,
        typer.Option(help=f"AFB: bacilli a high-power field of positive slides. Default: {_AFB_PER_HPF}.", min=1e-6),
    ] = None,
    fields_per_slide: Annotated[int | None, typer.Option(help=f"Default: {_FIELDS}.", min=1)] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON on standard output and nothing else; a FILE may follow.")
    ] = False,
) -> None:
    """AUROC with its 95 % interval by group, AP and counts of an engine, on crops, fields or slides of the twin."""
    _only_one({"--crops": crops, "--fields": fields, "--slides": slides})
    _fits(
        {
            "--boxes": (boxes, fields),
            "--centred": (centred or None, crops),
            "--um-per-px": (um_per_px, crops or fields),
            "--malignant": (malignant, slides),
            "--afb-per-hpf": (afb_per_hpf, slides),
            "--fields-per-slide": (fields_per_slide, slides),
        }
    )
    setup = _setup(assay, engine, magnification, twin=slides is not None)
    start = time.monotonic()
    if crops is not None:
        figures = _crops(setup, crops, um_per_px, centred=centred)
    elif fields is not None:
        figures = _fields(setup, fields, boxes or fields / "boxes.csv", um_per_px)
    else:
        count = fields_per_slide or _FIELDS
        figures = _slides(setup, slides or 0, count, seed, malignant=malignant, afb_per_hpf=afb_per_hpf)
    _tell({"assay": setup.assay.name, **figures, "seconds": round(time.monotonic() - start, 1)}, file, as_json=as_json)


@dataclass(frozen=True)
class _Setup:
    assay: Assay
    settings: Settings
    magnification: Magnification


def _only_one(given: dict[str, object]) -> None:
    named = [name for name, value in given.items() if value is not None]
    if len(named) != 1:
        said = " and ".join(named) or "none of them"
        raise typer.BadParameter(f"give one of {', '.join(_SOURCES)}; {said} was given")


def _fits(options: dict[str, tuple[object, object]]) -> None:
    """Every option that is given must have what it is for."""
    for name, (value, wanted) in options.items():
        if value is not None and wanted is None:
            raise typer.BadParameter("has no meaning for what is evaluated", param_hint=name)


def _setup(name: str | None, engine: Path | None, magnification: int | None, *, twin: bool) -> _Setup:
    if name is None and engine is None and not twin:
        raise typer.BadParameter("say which: serous or afb", param_hint="--assay")
    chosen = load_assay(name or (load_package(engine).manifest.assay if engine else "serous"))
    wanted = magnification or chosen.magnifications[0]
    if wanted not in chosen.magnifications:
        allowed = " or ".join(str(value) for value in chosen.magnifications)
        raise typer.BadParameter(f"{chosen.name} is read at {allowed}", param_hint="--magnification")
    settings = load_settings(None, [f"engines.{chosen.name}={engine}"] if engine else [])
    optics = OpticsSection.model_validate({"magnification": wanted})
    return _Setup(chosen, settings.model_copy(update={"optics": optics}), optics.magnification)


def _crops(setup: _Setup, folder: Path, um_per_px: float | None, *, centred: bool) -> dict[str, object]:
    files = find_crops(folder)
    default = CROP_UM_PER_PX if setup.assay.name == "afb" else None
    return _with_engine(
        setup,
        lambda target: evaluate_crops(
            target, _bar(files, "Crops"), um_per_px or default or target.native_um_per_px, centred=centred
        ),
    )


def _fields(setup: _Setup, folder: Path, boxes: Path, um_per_px: float | None) -> dict[str, object]:
    def figures(target: Target) -> dict[str, object]:
        files, missing = find_fields(folder, read_boxes(boxes, target.names, target.others), boxes)
        return evaluate_fields(target, _bar(files, "Fields"), missing, um_per_px or target.native_um_per_px)

    return _with_engine(setup, figures)


def _slides(
    setup: _Setup, slides: int, fields: int, seed: int, *, malignant: float | None, afb_per_hpf: float | None
) -> dict[str, object]:
    serous = setup.assay.name == "serous"
    if (afb_per_hpf if serous else malignant) is not None:
        option = "--afb-per-hpf" if serous else "--malignant"
        raise typer.BadParameter(f"has no meaning for {setup.assay.name}", param_hint=option)
    first = Job(setup.assay, setup.settings, fields, seed, None, None, setup.magnification)
    jobs = half_positive(first, slides, malignant=[malignant or _MALIGNANT], afb_per_hpf=afb_per_hpf or _AFB_PER_HPF)
    package = load_package(engine_folder(setup.settings, setup.assay))
    return {
        "engine": package.title,
        "onnx_sha256": package.manifest.onnx.sha256,
        "fields_per_slide": fields,
        **slide_figures(read_slides(jobs), seed),
    }


def _with_engine(setup: _Setup, figures: Callable[[Target], dict[str, object]]) -> dict[str, object]:
    with scorer(setup.settings, setup.assay) as opened:
        package, loaded = opened.package, opened.scorer
        found = figures(Target.of(package.manifest, loaded.probabilities))
        return {"engine": package.title, "onnx_sha256": package.manifest.onnx.sha256, **found}


def _bar(files: Sequence[_File], what: str) -> Iterable[_File]:
    return track(files, what, console=plain_console(errors=True), transient=True)


def _tell(figures: dict[str, object], file: Path | None, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(figures, indent=2, allow_nan=False))
    else:
        plain_console().print(_table(figures))
    if file is not None:
        try:
            write_json(file, figures)
        except OSError as error:
            raise ApplianceError(
                f"{file} cannot be written: {error.strerror}.", safe="", remedy="Name another file."
            ) from error


def _table(figures: dict[str, object]) -> Table:
    table = Table(show_header=False)
    for name, value in figures.items():
        if name in {"slides", "onnx_sha256"} or (name == "reason" and value is None):
            continue
        if isinstance(value, list) and all(isinstance(item, float) for item in value) and value:
            said = " to ".join(str(item) for item in value)
        else:
            said = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        table.add_row(name, "–" if value is None or value == [] else said)
    return table
