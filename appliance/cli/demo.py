"""`cytoscan demo`: a serous and a sputum slide of the twin, from glass to hub, on this machine alone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from appliance.assays import load_assay
from appliance.cli.hub_session import local_hub
from appliance.cli.plain_console import plain_console
from appliance.cli.reading import Order
from appliance.cli.result import scan_result, write_json
from appliance.cli.scan import read_and_report
from appliance.cli.twin_session import TwinSlide, twin_session
from appliance.hub.events import ReceivedVerdict
from appliance.settings import Settings, load_settings
from appliance.verdict.model import STOPPED_EARLY

FOLDER = Path("build/demo")


@dataclass(frozen=True)
class DemoSlide:
    """One slide of the demo: its folder, its case, what lies on it, and how much of it is read."""

    name: str
    accession: str
    slide: TwinSlide
    fields: int


SLIDES = (
    DemoSlide("serous", "DEMO-26-0001", TwinSlide("serous", 450, seed=26, malignant=0.03), fields=60),
    DemoSlide("sputum", "DEMO-26-0002", TwinSlide("afb", 900, seed=27, afb_per_hpf=0.6), fields=64),
)


def demo(
    folder: Annotated[Path, typer.Option(help="Where journal, hub store and reports go.")] = FOLDER,
    fields: Annotated[int | None, typer.Option(help="Read fewer fields a slide, for a quick look.", min=1)] = None,
) -> None:
    """Scan one serous and one sputum slide on the twin; the verdicts reach a hub on this machine."""
    console = plain_console()
    start = time.monotonic()
    received: list[ReceivedVerdict] = []
    folder.mkdir(parents=True, exist_ok=True)
    with local_hub(folder / "hub.sqlite", received.append) as hub:
        base = _settings(folder).model_copy(update={"uplink": hub.uplink})
        for lying in SLIDES:
            _one(lying, base, fields or lying.fields, folder, console)
        console.rule("what the hub received")
        for verdict in received:
            body = verdict.body
            whole = body.fields.captured if STOPPED_EARLY in body.flags else body.fields.planned
            usable = f"{body.fields.usable} of {whole} fields usable"
            console.print(
                f"{body.accession} {body.slide} run {body.run}, {body.assay}:",
                Text(body.category, "bold"),
                body.title,
                f"({usable}, {body.backend.engine})",
            )
    console.print(f"\n{len(received)} verdicts received by the hub in {time.monotonic() - start:.0f} s.")
    if len(received) != len(SLIDES):
        raise typer.Exit(1)


def _one(lying: DemoSlide, base: Settings, fields: int, folder: Path, console: Console) -> None:
    assay = load_assay(lying.slide.assay)
    console.rule(f"{assay.title}: {lying.accession}, {fields} fields at {lying.slide.magnification}x")
    own = base.model_copy(update={"scan": base.scan.model_copy(update={"fields": fields})})
    order = Order(lying.accession, lying.name, operator="demo", restart=True)
    start = time.monotonic()
    with twin_session(lying.slide, own) as settings:
        reading, receipt = read_and_report(settings, assay, order, console, folder / lying.name / "report.html")
    write_json(folder / lying.name / "result.json", scan_result(reading, assay, receipt, time.monotonic() - start))


def _settings(folder: Path) -> Settings:
    return load_settings(None, [f"journal.path={folder / 'journal.sqlite'}", "device=demo-1"])
