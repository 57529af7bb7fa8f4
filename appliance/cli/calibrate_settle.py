"""`cytoscan calibrate settle`: see in pictures how this stage comes to rest, and wait no longer than that needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from time import sleep
from typing import Annotated

import typer

from appliance.assays import Assay, load_assay
from appliance.cli.calibrate_focus import NotCalibrated, Told
from appliance.cli.hardware import hardware, settle_file
from appliance.cli.options import Overrides, SettingsFile
from appliance.cli.plain_console import plain_console
from appliance.cli.reading import plan_for
from appliance.cli.result import write_json
from appliance.cli.twin_session import TwinSlide, twin_session
from appliance.scan.events import ScanListener
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.focus.places import Place, survey_places
from appliance.scan.focus.survey import survey
from appliance.scan.rig import Rig
from appliance.scan.settle.decay import LONGEST_MS, Settling
from appliance.scan.settle.measure import LONGEST_EXPOSURE_MS, PLACES, Bench, find_sight, measure_axis
from appliance.scan.settle.waits import LearnedWaits, Unhurried, save_waits, without_wait
from appliance.settings import FocusSection, Settings, load_settings
from drivers.camera.frame import CameraSettings


def settle(
    assay: Annotated[str, typer.Option(help="Kind of slide on the stage: serous or afb.")] = "serous",
    settings_file: SettingsFile = None,
    overrides: Overrides = None,
    twin: Annotated[bool, typer.Option("--twin", help="Calibrate the digital twin, started for this.")] = False,
    seed: Annotated[int, typer.Option(help="Twin: which slide.", min=0)] = 1,
    magnification: Annotated[int | None, typer.Option(help="450 or 900; default: the assay's first.")] = None,
    twin_set: Annotated[list[str] | None, typer.Option(help="Twin: one setting as a.b=value. Repeatable.")] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Move field by field over any slide with cells, and learn how long X and Y ring. Takes some two minutes.

    Where the pictures do not show it, nothing is kept and the waits of the settings stay.
    """
    console = plain_console()
    loaded = load_assay(assay)
    power = magnification or (loaded.magnifications[0] if twin else None)
    chosen = [] if power is None else [f"optics.magnification={power}"]
    with ExitStack() as stack:
        settings = load_settings(settings_file, [*chosen, *(overrides or [])])
        if twin:
            lying = TwinSlide(loaded.name, settings.optics.magnification, seed, more=tuple(twin_set or ()))
            settings = stack.enter_context(twin_session(lying, settings))
        waits = learn(settings, loaded, Told())
        path = settle_file(settings)
        save_waits(path, waits)
    for name, axis, was_ms in (("X", waits.x, settings.stage.x.settle_ms), ("Y", waits.y, settings.stage.y.settle_ms)):
        console.print(_told(name, axis, waits.um_per_px, was_ms))
    console.print(f"Kept in {path}; scans use it from now on. Z waits {settings.stage.z.settle_ms:g} ms, as set.")
    if json_path is not None:
        write_json(json_path, asdict(waits))


def _told(name: str, axis: Settling, um_per_px: float, was_ms: float) -> str:
    rings = f"{axis.amplitude_px * um_per_px:.2f} µm at arrival, fading by e in {axis.tau_ms:.0f} ms"
    waits = f"{name} rings {rings}: it waits {axis.wait_ms:.0f} ms (set: {was_ms:g} ms)."
    return f"{waits} It rings longer than {LONGEST_MS:g} ms: have its drive looked at." if axis.bounded else waits


def learn(settings: Settings, assay: Assay, listener: ScanListener) -> LearnedWaits:
    """What the slide on the stage shows of X and Y. Raises NotCalibrated, DeviceError, SettingsError, PlanError."""
    optics = FocusOptics(settings.optics.na, settings.optics.um_per_px)
    exposure = CameraSettings(settings.camera.exposure_ms, settings.camera.gain_db)
    listener.step("homing")
    with hardware(settings, without_wait(settings.stage)) as (stage, camera):
        listener.opened(camera)
        stage.home()
        rig = Rig(Unhurried(stage, sleep), camera, exposure)
        with rig.retracting():
            places = [(field.x_um, field.y_um) for field in plan_for(settings, assay, rig.info).fields]
            bench = Bench(stage, camera, sleep, optics.um_per_px)
            return learn_on(rig, bench, places, settings.focus, optics, listener.step)


def learn_on(
    rig: Rig,
    bench: Bench,
    places: Sequence[Place],
    settings: FocusSection,
    optics: FocusOptics,
    step: Callable[[str], None],
) -> LearnedWaits:
    """What one of the places shows. rig, bench: over the same devices. Raises NotCalibrated, DeviceError."""
    step("surveying")
    known = survey(rig, places, settings, optics)
    if not known.found:
        raise _too_little(f"The survey found {known.reason}.")
    bench.camera.configure(CameraSettings(min(rig.exposure.exposure_ms, LONGEST_EXPOSURE_MS), rig.exposure.gain_db))
    chosen = [group[0] for group in survey_places(places, PLACES)]
    sight = find_sight(bench, [(x, y, known.surface.predict(x, y, rig.now_s()).z_um) for x, y in chosen])
    if sight is None:
        raise _too_little("No place of it shows small steps of the stage as such, so none can show its ringing.")
    size_um = (rig.info.width_px * optics.um_per_px, rig.info.height_px * optics.um_per_px)
    step("moving in X")
    x = measure_axis(bench, sight, "x", size_um[0])
    step("moving in Y")
    return LearnedWaits(optics.um_per_px, x, measure_axis(bench, sight, "y", size_um[1]))


def _too_little(why: str) -> NotCalibrated:
    return NotCalibrated(
        f"This slide does not show how the stage comes to rest. {why}",
        safe="The waits in use stay.",
        remedy="Load a well stained slide with cells all over, and check optics.um_per_px.",
    )
