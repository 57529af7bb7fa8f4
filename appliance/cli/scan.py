"""`cytoscan scan`: read one slide."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from appliance.assays import Assay, load_assay
from appliance.cli.hub_session import local_hub, sender
from appliance.cli.options import Overrides, SettingsFile
from appliance.cli.plain_console import plain_console
from appliance.cli.progress import progress_bar
from appliance.cli.reading import Order, SlideReading, read_slide
from appliance.cli.report_input import report_data
from appliance.cli.result import scan_result, write_json
from appliance.cli.scoring import engine_folder
from appliance.cli.signals import stop_on_signal
from appliance.cli.twin_session import TwinSlide, twin_session
from appliance.journal import JournalReader
from appliance.report import write_report
from appliance.settings import Settings, load_settings
from engines.package import load_package

RECEIPT_WAIT_S = 20.0


def scan(
    assay: Annotated[str, typer.Option(help="What to look for: serous, afb, or the path of an assay file.")] = "serous",
    settings_file: SettingsFile = None,
    overrides: Overrides = None,
    accession: Annotated[str | None, typer.Option(help="The laboratory's number for the case.")] = None,
    slide: Annotated[str, typer.Option(help="Which slide of the case.")] = "A1",
    operator: Annotated[str, typer.Option(help="Who scans.")] = "operator",
    volume_ml: Annotated[float | None, typer.Option(help="Submitted volume of an effusion, mL.")] = None,
    fields: Annotated[int | None, typer.Option(help="Read at most so many fields.", min=1)] = None,
    keep_fields: Annotated[bool, typer.Option("--keep-fields", help="Keep the picture of every field.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Give up an unfinished reading of this slide.")] = False,
    twin: Annotated[bool, typer.Option("--twin", help="Scan a slide of the digital twin, started for this.")] = False,
    seed: Annotated[int, typer.Option(help="Twin: which slide.", min=0)] = 1,
    magnification: Annotated[int | None, typer.Option(help="450 or 900; default: the assay's first.")] = None,
    content: Annotated[str | None, typer.Option(help="Twin: serous, sputum, empty or ink.")] = None,
    malignant: Annotated[float | None, typer.Option(help="Twin: malignant share of nucleated cells.")] = None,
    afb_per_hpf: Annotated[float | None, typer.Option(help="Twin: bacilli per high-power field.")] = None,
    pictures: Annotated[Path | None, typer.Option(help="Twin: folder of real pictures to lay out.")] = None,
    um_per_px: Annotated[float | None, typer.Option(help="Twin: scale of those pictures.")] = None,
    na: Annotated[float | None, typer.Option(help="Twin: numerical aperture.")] = None,
    harsh: Annotated[bool, typer.Option("--harsh", help="Twin: stage and slide twice as bad.")] = False,
    twin_set: Annotated[list[str] | None, typer.Option(help="Twin: one setting as a.b=value. Repeatable.")] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the result here.")] = None,
) -> None:
    """Read one slide and say what was found. Exit code 0: a verdict was reached, whatever it says."""
    console = plain_console()
    loaded = load_assay(assay)
    power = magnification or (loaded.magnifications[0] if twin else None)
    settings = load_settings(settings_file, _with_scan(overrides or [], fields, keep_fields, power))
    case = accession or (f"TWIN-{loaded.name}-{seed}" if twin else "")
    if not case:
        raise typer.BadParameter("say which case this is", param_hint="--accession")
    order = Order(case, slide, operator, volume_ml, restart)
    with ExitStack() as stack:
        if twin:
            lying = TwinSlide(
                assay=loaded.name,
                magnification=settings.optics.magnification,
                seed=seed,
                content=content,
                malignant=malignant,
                afb_per_hpf=afb_per_hpf,
                pictures=pictures,
                um_per_px=um_per_px,
                na=na,
                harsh=harsh,
                more=tuple(twin_set or ()),
            )
            settings = stack.enter_context(twin_session(lying, settings))
            if not _names_uplink(settings_file, overrides):
                hub = stack.enter_context(local_hub(settings.journal.path.with_name("hub.sqlite")))
                settings = settings.model_copy(update={"uplink": hub.uplink})
        start = time.monotonic()
        report = settings.report.directory / f"{case}-{slide}" / "report.html"
        reading, receipt = read_and_report(settings, loaded, order, console, report)
        if json_path is not None:
            write_json(json_path, scan_result(reading, loaded, receipt, time.monotonic() - start))


def read_and_report(
    settings: Settings, assay: Assay, order: Order, console: Console, report: Path
) -> tuple[SlideReading, str | None]:
    """Scan with a progress bar, send the verdict, wait a while for the hub's receipt, print what came of it.

    report: file for the slide report.
    """
    package = load_package(engine_folder(settings, assay))
    with sender(settings, package.title) as uplink, stop_on_signal() as stop:
        with progress_bar(console, assay.labels.targets) as bar:
            reading = read_slide(settings, assay, order, report, bar, stop)
        delivery = uplink.wait_for_receipt(reading.key, RECEIPT_WAIT_S) if uplink else None
        problem = uplink.status().last_problem if uplink else "the uplink is switched off"
    receipt = delivery.receipt if delivery else None
    with JournalReader.open(settings.journal.path) as journal:
        write_report(report_data(journal, reading.run.run_id, reading.verdict, assay.labels.targets, receipt), report)
    print_reading(console, reading, package.title)
    if receipt:
        console.print(f"Hub receipt: {receipt}")
    else:
        console.print(f"The hub has not answered yet ({problem or 'no receipt'}); the verdict stays in the outbox.")
    return reading, receipt


def print_reading(console: Console, reading: SlideReading, engine: str) -> None:
    """The verdict and where its report is, for a person at a terminal."""
    verdict, tally = reading.verdict, reading.verdict.fields
    console.print(Text.assemble("\n", (verdict.category, "bold"), "  ", verdict.title))
    for reason in verdict.reasons:
        console.print(f"  - {reason}")
    rest = f", the other {tally.planned - tally.captured} not needed" if verdict.stopped_early else ""
    console.print(
        f"Fields: {tally.usable} usable, {tally.blank} blank, {tally.failed} failed of {tally.planned}{rest}; "
        f"engine {engine} on {reading.run.backend}"
    )
    console.print(f"Report: {reading.report}")


def _with_scan(overrides: list[str], fields: int | None, keep_fields: bool, magnification: int | None) -> list[str]:
    more = [] if magnification is None else [f"optics.magnification={magnification}"]
    if fields is not None:
        more.append(f"scan.fields={fields}")
    if keep_fields:
        more.append("scan.keep_fields=true")
    return [*more, *overrides]


def _names_uplink(settings_file: Path | None, overrides: list[str] | None) -> bool:
    """Whether somebody said where the hub is; if not, the twin brings its own."""
    if any(text.startswith("uplink.") for text in overrides or ()):
        return True
    return settings_file is not None and load_settings(settings_file).uplink != Settings().uplink
