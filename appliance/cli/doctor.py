"""`cytoscan doctor`: is everything there that a scan needs? One line a check, with the remedy."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from appliance.assays import known_assays, load_assay
from appliance.cli.exits import Exit
from appliance.cli.hardware import axial_curve, focus_curve, learned_waits, open_camera, settle_file
from appliance.cli.hub_session import local_hub
from appliance.cli.options import Overrides, SettingsFile
from appliance.cli.plain_console import plain_console
from appliance.cli.result import write_json
from appliance.cli.scoring import scorer
from appliance.cli.twin_session import TwinSlide, twin_session
from appliance.errors import ApplianceError, SettingsError
from appliance.journal import Journal, require_free_space
from appliance.messages.clock import read_clock
from appliance.settings import Settings, load_settings
from drivers.camera.frame import CameraSettings
from drivers.errors import DeviceError
from drivers.stage import Stage, open_stage
from engines.errors import EngineError

CONNECT_S = 3.0


@dataclass(frozen=True)
class Check:
    """What one check found. ok: a scan can go ahead; with a remedy all the same, something is worth mending."""

    name: str
    ok: bool
    found: str
    remedy: str = ""

    @property
    def sign(self) -> Text:
        """The word in front of the line, with its colour for a terminal."""
        if not self.ok:
            return Text("FAIL", "red")
        return Text("warn", "yellow") if self.remedy else Text("ok  ", "green")


def doctor(
    settings_file: SettingsFile = None,
    overrides: Overrides = None,
    twin: Annotated[bool, typer.Option("--twin", help="Check against the twin and a hub started for this.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the checks here.")] = None,
) -> None:
    """Check port, controller, limits, camera, settling, focus, engines, journal, broker, clock, disk. Nothing moves."""
    console = plain_console()
    with ExitStack() as stack:
        settings = load_settings(settings_file, overrides or [])
        if twin:
            slide = TwinSlide("serous", settings.optics.magnification, seed=1)
            settings = stack.enter_context(twin_session(slide, settings))
            hub = stack.enter_context(local_hub(settings.journal.path.with_name("hub.sqlite")))
            settings = settings.model_copy(update={"uplink": hub.uplink})
        checks = []
        for check in examine(settings):
            checks.append(check)
            console.print(check.sign, f"{check.name:<13}", check.found, check.remedy)
    if json_path is not None:
        write_json(json_path, {"checks": [vars(check) for check in checks]})
    if not all(check.ok for check in checks):
        raise typer.Exit(int(Exit.CHECKS_FAILED))


def examine(settings: Settings) -> Iterator[Check]:
    """All checks, in the order in which a fault would show in a scan."""
    yield from _stage(settings)
    yield _check("camera", lambda: _camera(settings))
    yield _settle(settings)
    for assay in known_assays():
        if settings.optics.magnification in load_assay(assay).magnifications:
            yield _focus(settings, assay)
    for assay in known_assays():
        yield _check(f"engine {assay}", lambda name=assay: _engine(settings, name))  # type: ignore[misc]
    yield _check("journal", lambda: _journal(settings))
    yield _check("disk", lambda: _disk(settings))
    yield _broker(settings)
    yield _clock()


def _check(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, ok=True, found=look())
    except (ApplianceError, DeviceError, EngineError) as error:
        return Check(name, ok=False, found=error.what, remedy=error.remedy)


def _stage(settings: Settings) -> Iterator[Check]:
    """Port, controller and limits are one conversation: opening the stage reads them all."""
    try:
        stage = open_stage(settings.stage)
    except DeviceError as error:
        kind = type(error).__name__
        name = {"LimitError": "limits", "WrongController": "controller", "NoAnswer": "controller"}.get(kind, "port")
        yield Check(name, ok=False, found=error.what, remedy=error.remedy)
        return
    with stage:
        yield Check("port", ok=True, found=f"{settings.stage.port} at {settings.stage.baud} baud")
        yield Check("controller", ok=True, found=_controllers(stage))
        limits = ", ".join(f"{axis} {low:.0f} to {high:.0f}" for axis, (low, high) in stage.limits().items())
        yield Check("limits", ok=True, found=f"{limits} µm, as installed")


def _controllers(stage: Stage) -> str:
    return ", ".join(
        f"device {c.device}: id {c.device_id}, serial {c.serial}, firmware {c.version}, {c.axis_count} axes"
        for c in stage.controllers
    )


def _camera(settings: Settings) -> str:
    camera = open_camera(settings)
    try:
        info = camera.info()
        camera.configure(CameraSettings(settings.camera.exposure_ms, settings.camera.gain_db))
        camera.trigger()
        frame = camera.grab(timeout_s=10.0)
    finally:
        camera.close()
    return (
        f"{info.model} {info.serial}, {info.width_px} × {info.height_px} {info.pixel_format.value}; "
        f"one frame came {frame.status.value}, mean level {frame.pixels.mean():.0f}"
    )


def _settle(settings: Settings) -> Check:
    try:
        waits = learned_waits(settings)
    except SettingsError as error:
        return Check("settle", ok=False, found=error.what, remedy=error.remedy)
    stage = settings.stage
    if waits is None:
        found = f"not learned: after each move X waits {stage.x.settle_ms:g} ms and Y {stage.y.settle_ms:g} ms, as set"
        return Check(
            "settle", ok=True, found=found, remedy="Load any slide with cells and `cytoscan calibrate settle`."
        )
    found = (
        f"X waits {waits.x.wait_ms:g} ms and Y {waits.y.wait_ms:g} ms, by {settle_file(settings)}; "
        f"Z {stage.z.settle_ms:g} ms, as set"
    )
    return Check("settle", ok=True, found=found)


def _focus(settings: Settings, assay: str) -> Check:
    name = f"focus {assay}"
    try:
        curve = axial_curve(settings, assay)
    except SettingsError as error:
        return Check(name, ok=False, found=error.what, remedy=error.remedy)
    if curve is None:
        found = "not calibrated: every field is bracketed, which takes more exposures"
        remedy = f"Load a well stained slide and `cytoscan calibrate focus --assay {assay}`."
        return Check(name, ok=True, found=found, remedy=remedy)
    return Check(name, ok=True, found=f"one picture tells focus, by {focus_curve(settings, assay)}")


def _engine(settings: Settings, name: str) -> str:
    with scorer(settings, load_assay(name)) as opened:
        package, engine = opened.package, opened.scorer
        return f"{package.title} on {engine.backend.runtime}, sha256 {engine.backend.onnx_sha256[:12]}…"


def _journal(settings: Settings) -> str:
    settings.journal.path.parent.mkdir(parents=True, exist_ok=True)
    with Journal.open(settings.journal.path) as journal:
        audit = journal.verify_audit()
        waiting = len(journal.unfinished())
        return f"{settings.journal.path}: sound, audit trail of {audit.rows} rows unbroken, {waiting} unfinished runs"


def _disk(settings: Settings) -> str:
    require_free_space(settings.journal.path, settings.journal.min_free_mb)
    free_mb = shutil.disk_usage(settings.journal.path.parent).free / 1e6
    return f"{free_mb:.0f} MB free, {settings.journal.min_free_mb:.0f} MB needed"


def _broker(settings: Settings) -> Check:
    uplink = settings.uplink
    if not uplink.enabled:
        return Check("broker", ok=True, found="the uplink is switched off: verdicts stay on this device")
    try:
        socket.create_connection((uplink.host, uplink.port), timeout=CONNECT_S).close()
    except OSError as error:
        return Check(
            "broker",
            ok=False,
            found=f"{uplink.host}:{uplink.port} does not answer ({error.strerror or error}).",
            remedy="Start the broker, or correct uplink.host and uplink.port. Verdicts wait in the outbox meanwhile.",
        )
    return Check("broker", ok=True, found=f"{uplink.host}:{uplink.port} answers")


def _clock() -> Check:
    clock = read_clock()
    if clock.synced is False:
        return Check(
            "clock",
            ok=True,
            found="The system clock is not synchronised: times of records may be wrong, and each message says so.",
            remedy="Enable systemd-timesyncd or chrony.",
        )
    if clock.synced is None:
        return Check("clock", ok=True, found=f"synchronisation {clock.source}")
    return Check("clock", ok=True, found=f"synchronised ({clock.source}, {clock.offset_ms or 0:.1f} ms)")
