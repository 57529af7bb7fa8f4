"""`cytoscan bench …`: measures; asserts nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from appliance.assays import load_assay
from appliance.cli.bench_scan import bench_scan
from appliance.cli.bench_verdict import bench_verdict
from appliance.cli.result import write_json
from appliance.settings import load_settings

app = typer.Typer(help="Measure the appliance on the twin; benches read the twin's truth, the scan never does.")

Slides = Annotated[int, typer.Option(help="How many slides.", min=1)]
Seed = Annotated[int, typer.Option(help="Seed of the first slide; the others follow.", min=0)]
JsonPath = Annotated[Path | None, typer.Option("--json", help="Write the figures here.")]
AssayName = Annotated[str, typer.Option(help="serous or afb.")]


@app.command()
def scan(
    slides: Slides = 1,
    fields: Annotated[int, typer.Option(help="Fields of each slide.", min=1)] = 60,
    seed: Seed = 900,
    assay: AssayName = "serous",
    na: Annotated[float | None, typer.Option(help="Numerical aperture; default: the objective's.")] = None,
    harsh: Annotated[bool, typer.Option("--harsh", help="Stage and slide twice as bad.")] = False,
    json_path: JsonPath = None,
) -> None:
    """Time, exposures and focus of whole scans through serial port, camera, focus, network and journal."""
    figures = bench_scan(load_assay(assay), load_settings(), slides, fields, seed, na=na, harsh=harsh)
    _show(figures, json_path)


@app.command()
def verdict(
    slides: Slides = 20,
    fields: Annotated[int, typer.Option(help="Fields of each slide.", min=1)] = 60,
    seed: Seed = 7000,
    assay: AssayName = "serous",
    malignant: Annotated[float, typer.Option(help="Serous: malignant share on every second slide.")] = 0.01,
    afb_per_hpf: Annotated[float, typer.Option(help="AFB: bacilli per high-power field on every second slide.")] = 0.5,
    engine: Annotated[Path | None, typer.Option(help="Engine package; default: the shipped one.")] = None,
    json_path: JsonPath = None,
) -> None:
    """Slide verdicts against truth: every second slide is positive; fields are drawn in-process, near focus."""
    settings = load_settings(None, [f"engines.{assay}={engine}"] if engine else [])
    figures = bench_verdict(
        load_assay(assay), settings, slides, fields, seed, malignant=malignant, afb_per_hpf=afb_per_hpf
    )
    _show(figures, json_path)


def _show(figures: dict[str, object], json_path: Path | None) -> None:
    Console().print_json(data=figures)
    if json_path is not None:
        write_json(json_path, figures)
