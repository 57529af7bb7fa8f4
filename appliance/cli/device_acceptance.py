"""`cytoscan acceptance`: proves on the device itself what could not be proved elsewhere, and writes a report."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

import appliance
from appliance.cli.build_progress import build_progress
from appliance.cli.device_trial import PARTS, Trial, Wish
from appliance.cli.exits import Exit
from appliance.cli.frame import Frame, frame_size
from appliance.cli.options import Overrides, SettingsFile
from appliance.cli.plain_console import plain_console
from appliance.cli.scoring import present_gpu, runtime_record
from appliance.device_report.page import page
from appliance.device_report.report import DeviceReport
from appliance.device_report.section import Section, not_passed
from appliance.journal import utc_now
from appliance.settings import Settings, load_settings
from engines.cuda.probe import Gpu, GpuAbsent
from engines.durable import write_file
from engines.package import EnginePackage, load_package, shipped, shipped_as
from engines.runtimes import CpuRuntime, GpuRuntime, Runtime
from engines.slots.store import SlotStore

NAME = "device-acceptance"


def acceptance(
    package: Annotated[
        str | None, typer.Option(help="Shipped package by name, or a folder. Default: by --assay.")
    ] = None,
    assay: Annotated[str, typer.Option(help="Whose shipped package is used: serous or afb.")] = "serous",
    fields: Annotated[int, typer.Option(help="Fields over which each speed is measured.", min=5)] = 50,
    minutes: Annotated[
        float, typer.Option(help="How long to read while the heat is watched; 0: not at all.", min=0)
    ] = 10,
    out: Annotated[Path | None, typer.Option(help="Folder of the report. Default: beside the slides' reports.")] = None,
    frame: Frame = None,
    settings_file: SettingsFile = None,
    overrides: Overrides = None,
) -> None:
    """Check this device, build, try and time an engine, watch the heat; write a report to send back.

    Nothing that is in use is changed, and no slide can be read meanwhile. Exit code 0: all passed; 9: not all.
    """
    settings = load_settings(settings_file, overrides or [])
    wish = Wish(_package(package, assay, settings), frame_size(settings, frame)(), fields, minutes)
    folder = out or settings.report.directory / NAME
    console = plain_console()
    with ExitStack() as held:
        held.enter_context(SlotStore(settings.engines.slots).updating())
        settings.journal.path.parent.mkdir(parents=True, exist_ok=True)
        # On the disk of the real journal, as its speed is that disk's.
        place = TemporaryDirectory(prefix=f"{NAME}-", dir=settings.journal.path.parent, ignore_cleanup_errors=True)
        scratch = Path(held.enter_context(place))
        gpu = present_gpu()
        runtime = _runtime(gpu, wish, scratch, settings)
        trial = Trial(wish, settings, runtime, scratch, held.enter_context(build_progress(console)))
        sections: list[Section] = []
        for section in trial.sections(gpu):
            sections.append(section)
            console.print(f"{section.part.title}: {'passed' if section.passed else 'NOT passed'}")
            for check in section.checks:
                console.print(f"  {'passed' if check.passed else 'FAILED'}: {check.sentence}")
            # After each part: a device that dies in one has told of those before.
            report = _report(trial, gpu, sections)
            write_file(folder / f"{NAME}.json", report.to_json())
            write_file(folder / f"{NAME}.html", page(report).encode())
    console.print(f"Report: {folder / NAME}.html; send it back with the .json beside it.")
    if not report.passed:
        raise typer.Exit(int(Exit.CHECKS_FAILED))


def _package(named: str | None, assay: str, settings: Settings) -> EnginePackage:
    if named is None:
        return load_package(shipped(assay, settings.optics.um_per_px))
    return load_package(Path(named) if Path(named).is_dir() else shipped_as(named))


def _runtime(gpu: Gpu | GpuAbsent, wish: Wish, scratch: Path, settings: Settings) -> Runtime:
    if isinstance(gpu, Gpu):
        return GpuRuntime(gpu, lambda: wish.frame, scratch, settings.engines.workspace_mib)
    return CpuRuntime(runtime_record(settings))


def _report(trial: Trial, gpu: Gpu | GpuAbsent, sections: list[Section]) -> DeviceReport:
    """Of what has been done; the parts that have not been reached say so."""
    left = [not_passed(part, "Not reached: the command ended before.") for part in PARTS[len(sections) :]]
    return DeviceReport(
        made_at=utc_now(),
        app_version=appliance.__version__,
        package=trial.wish.package.title,
        runtime=trial.scorer.backend.runtime if trial.scorer else None,
        no_gpu=f"{gpu.what} {gpu.remedy}" if isinstance(gpu, GpuAbsent) else "",
        speed=trial.speed,
        sections=(*sections, *left),
    )
