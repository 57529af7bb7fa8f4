"""Open the stage and the camera that the settings name, and find what this device has learned of itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.errors import SettingsError
from appliance.scan.focus.axial import AxialCurve
from appliance.scan.focus.curve_file import load_curve
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.settle.waits import LearnedWaits, load_waits, with_waits
from appliance.settings.model import Settings
from drivers.camera.frame import Camera
from drivers.camera.replay import ReplayCamera
from drivers.camera.twin import TwinCamera
from drivers.stage import Stage, StageSettings, open_stage


def open_camera(settings: Settings) -> Camera:
    """The camera of the settings. Raises CameraLost."""
    section = settings.camera
    if section.kind == "replay":
        return ReplayCamera(Path(section.address))
    if not section.address:
        raise SettingsError(
            "camera.address is empty, and no twin was started.",
            remedy="Give the twin's camera socket, or start the command with --twin.",
        )
    return TwinCamera(section.address)


def settle_file(settings: Settings) -> Path:
    """Where `calibrate settle` keeps the waits of this device for the magnification in force.

    Each kind of camera has its own, lest what the twin taught be used on a patient's slide.
    """
    name = f"stage-settle-{settings.camera.kind}-{settings.optics.magnification}x.json"
    return settings.journal.path.parent / name


def learned_waits(settings: Settings) -> LearnedWaits | None:
    """The waits that are kept there, None where this device has not learned any. Raises SettingsError."""
    return load_waits(settle_file(settings), settings.optics.um_per_px)


def stage_in_use(settings: Settings) -> StageSettings:
    """The stage of the settings, with the waits that this device has learned in place of the set ones."""
    waits = learned_waits(settings)
    return settings.stage if waits is None else with_waits(settings.stage, waits)


@contextmanager
def hardware(settings: Settings, stage_settings: StageSettings | None = None) -> Iterator[tuple[Stage, Camera]]:
    """Stage and camera for the length of a block; on the way out both are closed.

    stage_settings: other than those in use.
    """
    stage = open_stage(stage_settings or stage_in_use(settings))
    try:
        camera = open_camera(settings)
        try:
            yield stage, camera
        finally:
            camera.close()
    finally:
        stage.close()


def focus_curve(settings: Settings, assay: str) -> Path:
    """Where `calibrate focus` keeps the axial curve of this device for the objective in force.

    Each assay has its own, since stain and specimen are part of what is learned; and each kind of camera, lest what the
    twin taught, or a slide of kept pictures, be used on a patient's.
    """
    optics = settings.optics
    name = f"focus-curve-{settings.camera.kind}-{assay}-{optics.magnification}x-na{optics.na:.2f}.npz"
    return settings.journal.path.parent / name


def axial_curve(settings: Settings, assay: str) -> AxialCurve | None:
    """The curve that is kept there, None where this device was not calibrated. Raises SettingsError."""
    return load_curve(focus_curve(settings, assay), FocusOptics(settings.optics.na, settings.optics.um_per_px))
