"""`cytoscan bench …`: measures; asserts nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from appliance.assays import Assay, load_assay
from appliance.assays.model import AfbGrading
from appliance.cli.bench_engine import bench_engine
from appliance.cli.bench_focus import Order, bench_focus
from appliance.cli.bench_grades import bench_grades
from appliance.cli.bench_host import bench_host
from appliance.cli.bench_overlap import bench_overlap
from appliance.cli.bench_pipeline import bench_pipeline
from appliance.cli.bench_planes import bench_planes
from appliance.cli.bench_scan import bench_scan
from appliance.cli.bench_stopping import bench_stopping
from appliance.cli.bench_verdict import bench_verdict, bench_witness
from appliance.cli.focus_plot import write_plot
from appliance.cli.frame import frame_from
from appliance.cli.plain_console import plain_console
from appliance.cli.result import write_json
from appliance.cli.scoring import runtime_record
from appliance.settings import OpticsSection, load_settings
from engines.package import load_package, shipped

app = typer.Typer(help="Measure the appliance on the twin; benches read the twin's truth, the scan never does.")

Slides = Annotated[int, typer.Option(help="How many slides.", min=1)]
Seed = Annotated[int, typer.Option(help="Seed of the first slide; the others follow.", min=0)]
JsonPath = Annotated[Path | None, typer.Option("--json", help="Write the figures here.")]
EnginePath = Annotated[Path | None, typer.Option(help="Engine package; default: the shipped one.")]
_Number = TypeVar("_Number", int, float)
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
def focus(
    slides: Slides = 1,
    fields: Annotated[int, typer.Option(help="Fields of each slide.", min=1)] = 200,
    seed: Seed = 900,
    magnification: Annotated[int, typer.Option(help="450 (effusions) or 900 (sputum smears).")] = 450,
    na: Annotated[float | None, typer.Option(help="Numerical aperture; default: the objective's.")] = None,
    harsh: Annotated[bool, typer.Option("--harsh", help="Stage and slide twice as bad.")] = False,
    peers: Annotated[
        bool, typer.Option("--peers/--no-peers", help="Others' methods, and ours without a curve.")
    ] = True,
    curve: Annotated[Path | None, typer.Option(help="File of the axial curve; measured and kept if absent.")] = None,
    twin_set: Annotated[list[str] | None, typer.Option(help="One setting of the twin as a.b=value.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the figures here (SVG).")] = None,
    json_path: JsonPath = None,
) -> None:
    """Our focus beside the methods that others ship: the same slides, stage and camera, in simulated time."""
    scale = OpticsSection.model_validate({"magnification": magnification}).magnification
    order = Order(slides, fields, seed, scale, na, harsh, peers, curve, tuple(twin_set or ()))
    figures = bench_focus(order, load_settings().focus)
    if plot is not None:
        write_plot(plot, figures)
    _show(figures, json_path)


@app.command()
def host(
    fields: Annotated[str, typer.Option(help="Lengths of scans, comma between.")] = "100,1000,10000",
    seed: Seed = 900,
    curve: Annotated[Path | None, typer.Option(help="File of the axial curve; measured and kept if absent.")] = None,
    twin_set: Annotated[list[str] | None, typer.Option(help="One setting of the twin as a.b=value.")] = None,
    json_path: JsonPath = None,
) -> None:
    """Processor time of a field outside stage, camera and network by part, memory and journal, as a scan grows."""
    order = Order(1, 1, seed, curve=curve, more=tuple(twin_set or ()))
    _show(bench_host(order, _lengths(fields), load_settings()), json_path)


@app.command()
def overlap(
    fields: Annotated[int, typer.Option(help="Fields of each scan.", min=1)] = 100,
    rounds: Annotated[int, typer.Option(help="Pairs of scans, without scoring and with it.", min=1)] = 3,
    seed: Seed = 900,
    curve: Annotated[Path | None, typer.Option(help="File of the axial curve; measured and kept if absent.")] = None,
    twin_set: Annotated[list[str] | None, typer.Option(help="One setting of the twin as a.b=value.")] = None,
    engine: EnginePath = None,
    json_path: JsonPath = None,
) -> None:
    """How much of the scoring is hidden behind motion: the same scan of an effusion in real time, without and with."""
    order = Order(1, 1, seed, curve=curve, more=tuple(twin_set or ()))
    settings = load_settings(None, [f"engines.serous={engine}"] if engine else [])
    _show(bench_overlap(order, fields, rounds, settings), json_path)


@app.command()
def pipeline(
    network_ms: Annotated[str, typer.Option(help="Times of a network, in milliseconds, comma between.")] = "4,6,10,20",
    fields: Annotated[int, typer.Option(help="Fields measured, each way.", min=5)] = 200,
    frame: Annotated[str, typer.Option(help="Width and height in pixels.")] = "1928x1208",
    engine: EnginePath = None,
    json_path: JsonPath = None,
) -> None:
    """How near reading fields comes to the speed of a network that runs elsewhere, as on a GPU."""
    settings = load_settings()
    package = load_package(engine or shipped("serous", settings.optics.um_per_px))
    times_ms = _times_ms(network_ms)
    _show(bench_pipeline(package, frame_from(frame), times_ms, fields, settings), json_path)


@app.command()
def verdict(
    slides: Slides = 20,
    fields: Annotated[int, typer.Option(help="Fields of each slide.", min=1)] = 60,
    seed: Seed = 7000,
    assay: AssayName = "serous",
    malignant: Annotated[str, typer.Option(help="Serous: malignant shares of every second slide, in turn.")] = "0.01",
    afb_per_hpf: Annotated[float, typer.Option(help="AFB: bacilli per high-power field on every second slide.")] = 0.5,
    engine: EnginePath = None,
    json_path: JsonPath = None,
) -> None:
    """Slide verdicts against truth: every second slide is positive; fields are drawn in-process, near focus."""
    settings = load_settings(None, [f"engines.{assay}={engine}"] if engine else [])
    figures = bench_verdict(
        load_assay(assay),
        settings,
        slides,
        fields,
        seed,
        malignant=_shares(malignant, "--malignant"),
        afb_per_hpf=afb_per_hpf,
    )
    _show(figures, json_path)


@app.command()
def witness(
    slides: Annotated[int, typer.Option(help="Slides without malignant cells, and with each share.", min=2)] = 20,
    fields: Annotated[int, typer.Option(help="Fields of each slide.", min=1)] = 60,
    seed: Seed = 7000,
    shares: Annotated[str, typer.Option(help="Malignant shares, comma between.")] = "0.1,0.03,0.01,0.003,0.001,0.0005",
    engine: EnginePath = None,
    json_path: JsonPath = None,
) -> None:
    """Serous: slide AUROC against the share of malignant cells; fields are drawn in-process, near focus."""
    settings = load_settings(None, [f"engines.serous={engine}"] if engine else [])
    wanted = _shares(shares, "--shares")
    _show(bench_witness(load_assay("serous"), settings, slides, fields, seed, wanted), json_path)


@app.command()
def planes(
    slides: Slides = 8,
    fields: Annotated[int, typer.Option(help="Fields of each slide.", min=2)] = 60,
    seed: Seed = 7000,
    malignant: Annotated[str, typer.Option(help="Malignant shares of every second slide, in turn.")] = "0.01,0.1",
    curve: Annotated[Path | None, typer.Option(help="Axial curve, as of bench focus; without it, bracketing.")] = None,
    engine: EnginePath = None,
    twin_set: Annotated[list[str] | None, typer.Option(help="One setting of the twin as a.b=value.")] = None,
    json_path: JsonPath = None,
) -> None:
    """Serous: what a second plane through balls of cells costs and gains, in simulated time."""
    settings = load_settings(None, [f"engines.serous={engine}"] if engine else [])
    wanted, more = _shares(malignant, "--malignant"), tuple(twin_set or ())
    serous = load_assay("serous")
    found = bench_planes(serous, settings, slides, fields, seed, malignant=wanted, curve=curve, more=more)
    _show(found, json_path)


@app.command()
def grades(
    slides: Slides = 200,
    fields: Annotated[int, typer.Option(help="Fields of a smear that may be negative.", min=1)] = 64,
    seed: Seed = 7000,
    magnification: Annotated[int, typer.Option(help="900 or 450.")] = 900,
    engine: EnginePath = None,
    json_path: JsonPath = None,
) -> None:
    """AFB: grades of unseen smears from none to many bacilli; fields are drawn in-process, near focus."""
    settings = load_settings(None, [f"engines.afb={engine}"] if engine else [])
    scale = OpticsSection.model_validate({"magnification": magnification}).magnification
    _show(bench_grades(*_smears(), settings, slides, fields, seed, scale), json_path)


@app.command()
def stopping(slides: Slides = 1000, seed: Seed = 1, json_path: JsonPath = None) -> None:
    """AFB: how often a reading ends early, how often wrongly, and what it saves; counts are drawn, not pictures."""
    _show(bench_stopping(*_smears(), load_settings(), slides, seed), json_path)


@app.command()
def engine(
    assay: Annotated[str | None, typer.Option(help="serous or afb; default: both.")] = None,
    engine: EnginePath = None,
    rounds: Annotated[int, typer.Option(help="Fields of each contender, in turns.", min=3)] = 15,
    seed: Seed = 1,
    keep: Annotated[bool, typer.Option("--keep", help="From now on, use the runtime found fastest.")] = False,
    json_path: JsonPath = None,
) -> None:
    """Time of a field from frame to findings: this runtime, ONNX Runtime FP32 and on the file as is, OpenVINO."""
    if engine is not None and assay is None:
        raise typer.BadParameter("with --engine, say which assay it is for", param_hint="--assay")
    names = [assay] if assay is not None else ["afb", "serous"]
    packages = {name: engine or shipped(load_assay(name).name) for name in names}
    record = runtime_record(load_settings()) if keep else None
    _show(bench_engine(packages, rounds, seed, keep=record), json_path)


def _smears() -> tuple[Assay, AfbGrading]:
    assay = load_assay("afb")
    if not isinstance(assay.grading, AfbGrading):
        raise typer.BadParameter("the assay afb has no smear tables")
    return assay, assay.grading


def _lengths(text: str) -> list[int]:
    """Numbers of fields from a list with commas between."""
    return _listed(text, int, lambda fields: fields >= 1, "numbers of fields, comma between, as 100,1000", "--fields")


def _shares(text: str, option: str) -> list[float]:
    """Shares above 0 and up to 1 from a list with commas between."""
    right = "shares above 0 and up to 1, comma between, as 0.01,0.003"
    return _listed(text, float, lambda share: 0.0 < share <= 1.0, right, option)


def _times_ms(text: str) -> list[float]:
    """Times above 0 from a list with commas between."""
    right = "milliseconds above 0, comma between, as 10,20"
    return _listed(text, float, lambda each_ms: 0.0 < each_ms < math.inf, right, "--network-ms")


def _listed(
    text: str, number: Callable[[str], _Number], fits: Callable[[_Number], bool], right: str, option: str
) -> list[_Number]:
    try:
        numbers = [number(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(map(fits, numbers)):
        raise typer.BadParameter(f"{text!r}: {right}", param_hint=option)
    return numbers


def _show(figures: dict[str, object], json_path: Path | None) -> None:
    plain_console().print_json(data=figures)
    if json_path is not None:
        write_json(json_path, figures)
