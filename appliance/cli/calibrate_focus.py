"""`cytoscan calibrate focus`: measure on any slide how this device's colours tell focus, and keep it for every scan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from appliance.assays import Assay, load_assay
from appliance.cli.exits import Exit
from appliance.cli.hardware import focus_curve, hardware
from appliance.cli.options import Overrides, SettingsFile
from appliance.cli.plain_console import plain_console
from appliance.cli.reading import plan_for
from appliance.cli.result import write_json
from appliance.cli.twin_session import TwinSlide, twin_session
from appliance.errors import ApplianceError
from appliance.scan.events import ScanListener
from appliance.scan.focus.axial import AxialCurve
from appliance.scan.focus.calibrate import FEWEST_FIELDS, AxialQuality, calibrated_curve, measure_stacks, trustworthy
from appliance.scan.focus.curve_file import save_curve
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.focus.places import Place, survey_places
from appliance.scan.focus.survey import survey
from appliance.scan.rig import Rig
from appliance.settings import FocusSection, Settings, load_settings
from drivers.camera.frame import CameraSettings

FIELDS = 24
_PLANNED = 200


class NotCalibrated(ApplianceError):
    """The slide on the stage does not serve to calibrate with."""


@dataclass(frozen=True)
class Calibration:
    """What was measured. exposures: taken in all, survey included."""

    curve: AxialCurve
    quality: AxialQuality
    exposures: int


def focus(
    assay: Annotated[str, typer.Option(help="Kind of slide on the stage: serous or afb.")] = "serous",
    settings_file: SettingsFile = None,
    overrides: Overrides = None,
    fields: Annotated[int, typer.Option(help="Fields to take through focus.", min=FEWEST_FIELDS)] = FIELDS,
    twin: Annotated[bool, typer.Option("--twin", help="Calibrate the digital twin, started for this.")] = False,
    seed: Annotated[int, typer.Option(help="Twin: which slide.", min=0)] = 1,
    magnification: Annotated[int | None, typer.Option(help="450 or 900; default: the assay's first.")] = None,
    na: Annotated[float | None, typer.Option(help="Twin: numerical aperture.")] = None,
    twin_set: Annotated[list[str] | None, typer.Option(help="Twin: one setting as a.b=value. Repeatable.")] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Take fields of any well stained slide of an assay through focus, and learn to tell focus from one picture.

    Exit code 9: this device cannot; scans then bracket every field, as before.
    """
    console = plain_console()
    loaded = load_assay(assay)
    power = magnification or (loaded.magnifications[0] if twin else None)
    chosen = [] if power is None else [f"optics.magnification={power}"]
    with ExitStack() as stack:
        settings = load_settings(settings_file, [*chosen, *(overrides or [])])
        if twin:
            lying = TwinSlide(loaded.name, settings.optics.magnification, seed, na=na, more=tuple(twin_set or ()))
            settings = stack.enter_context(twin_session(lying, settings))
        measured = calibrate(settings, loaded, fields, Told())
        path = focus_curve(settings, loaded.name)
        good = trustworthy(measured.quality)
        if good:
            save_curve(path, measured.curve)
        else:
            path.unlink(missing_ok=True)
    quality = measured.quality
    strange = f" ({quality.strange} more looked like none of the others)" if quality.strange else ""
    console.print(
        f"From {quality.fields} fields{strange}, {measured.exposures} exposures. One picture in {quality.told:.0%} "
        f"tells its height, to {quality.median_um:.2f} µm (median) and {quality.p95_um:.2f} µm (95th percentile), and "
        f"takes one side for the other in {quality.wrong_side:.1%}."
    )
    console.print(
        f"Kept in {path}; scans use it from now on."
        if good
        else "That is too little to be relied on: no curve is kept, and scans of this device bracket every field."
    )
    if json_path is not None:
        write_json(json_path, {"trusted": good, "exposures": measured.exposures, **asdict(quality)})
    if not good:
        raise typer.Exit(int(Exit.CHECKS_FAILED))


def calibrate(settings: Settings, assay: Assay, fields: int, listener: ScanListener) -> Calibration:
    """Take `fields` fields of the slide on the stage through focus.

    Raises NotCalibrated when the slide shows too little; DeviceError, SettingsError, PlanError.
    """
    optics = FocusOptics(settings.optics.na, settings.optics.um_per_px)
    own = settings.model_copy(update={"scan": settings.scan.model_copy(update={"fields": _PLANNED})})
    listener.step("homing")
    with hardware(settings) as (stage, camera):
        listener.opened(camera)
        stage.home()
        rig = Rig(stage, camera, CameraSettings(settings.camera.exposure_ms, settings.camera.gain_db))
        with rig.retracting():
            places = [(f.x_um, f.y_um) for f in plan_for(own, assay, rig.info).fields]
            return calibrate_on(rig, places, fields, settings.focus, optics, listener.step)


def calibrate_on(
    rig: Rig,
    places: Sequence[Place],
    fields: int,
    settings: FocusSection,
    optics: FocusOptics,
    step: Callable[[str], None],
) -> Calibration:
    """Take `fields` of the places through focus. step: told what is done. Raises NotCalibrated, DeviceError."""
    step("surveying")
    known = survey(rig, places, settings, optics)
    if not known.found:
        raise _too_little(f"The survey found {known.reason}.")
    step(f"taking {fields} fields through focus")
    chosen = [group[0] for group in survey_places(places, fields)]
    stacks = measure_stacks(rig, chosen, known, settings, optics)
    if len(stacks) < FEWEST_FIELDS:
        raise _too_little(f"Only {len(stacks)} of {fields} fields could be taken through focus.")
    return Calibration(*calibrated_curve(stacks, optics), rig.meter.exposures)


def _too_little(why: str) -> NotCalibrated:
    return NotCalibrated(
        f"This slide does not serve to calibrate with. {why}",
        safe="The curve in use, if there is one, stays.",
        remedy="Load a well stained slide with cells all over.",
    )


class Told(ScanListener):
    """Prints each step."""

    def step(self, text: str) -> None:
        """One line."""
        plain_console().print(text)
