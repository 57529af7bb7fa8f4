"""Everything about the twin that can be set: one YAML file, and `a.b=value` on top of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from drivers.errors import DeviceError
from drivers.twin.mechanics_settings import MechanicsSettings
from drivers.twin.pty_port import LineSettings
from drivers.twin.slide.settings import SlideSettings
from drivers.twin.zaber import ZaberSettings

_OBJECTIVES = {450: (0.50, 0.293), 900: (0.75, 0.1465)}
_SURFACE_ERRORS = ("tilt_sigma_mrad", "bow_sagitta_um", "waviness_rms_um")


class BadTwinSettings(DeviceError):
    """The twin's settings cannot be used; `what` names file and key."""


class OpticsSettings(BaseModel):
    """Objective and tube lens.

    na, um_per_px: None takes the objective's of the magnification (20x/0.50 at 450, 40x/0.75 at 900).
    axial_red_um, axial_blue_um: focus of red and blue relative to green; None takes +0.5 and -0.7 at NA 0.5, scaled
    with the depth of field elsewhere. curvature_um: field curvature at the corner, growing with the radius squared.
    Source: domain reference 4.4 (engineering estimates for a 20x/0.5 plan fluorite).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    magnification: Literal[450, 900] = 450
    na: float | None = Field(default=None, ge=0.1, le=0.95)
    um_per_px: float | None = Field(default=None, ge=0.05, le=2.0)
    refractive_index: float = Field(default=1.0, ge=1.0, le=1.6)
    axial_red_um: float | None = Field(default=None, ge=-3.0, le=3.0)
    axial_blue_um: float | None = Field(default=None, ge=-3.0, le=3.0)
    curvature_um: float = Field(default=1.0, ge=0.0, le=10.0)

    @property
    def aperture(self) -> float:
        """Numerical aperture in force."""
        return _OBJECTIVES[self.magnification][0] if self.na is None else self.na

    @property
    def scale_um(self) -> float:
        """Micrometres of specimen per pixel in force."""
        return _OBJECTIVES[self.magnification][1] if self.um_per_px is None else self.um_per_px

    @property
    def red_shift_um(self) -> float:
        """Focus of red relative to green, in force."""
        return 0.5 * (0.5 / self.aperture) ** 2 if self.axial_red_um is None else self.axial_red_um

    @property
    def blue_shift_um(self) -> float:
        """Focus of blue relative to green, in force."""
        return -0.7 * (0.5 / self.aperture) ** 2 if self.axial_blue_um is None else self.axial_blue_um


class CameraModel(BaseModel):
    """Sensor, lamp and timing.

    Source: domain reference 4.4 (IMX174 class sensor). nominal_exposure_ms: exposure at gain 0 dB that brings a clear
    place to `clear_level` of full scale. full_well_electrons correspond to 255 at gain 0 dB.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    width_px: int = Field(default=1928, ge=64, le=4096, multiple_of=2)
    height_px: int = Field(default=1208, ge=64, le=4096, multiple_of=2)
    readout_ms: float = Field(default=24.0, ge=0.0, le=1000.0)
    nominal_exposure_ms: float = Field(default=5.0, ge=0.1, le=500.0)
    min_exposure_ms: float = Field(default=0.05, gt=0.0, le=10.0)
    max_exposure_ms: float = Field(default=500.0, ge=1.0, le=10_000.0)
    max_gain_db: float = Field(default=24.0, ge=0.0, le=48.0)
    clear_level: float = Field(default=0.80, ge=0.05, le=1.0)
    full_well_electrons: float = Field(default=32_000.0, ge=1_000.0, le=500_000.0)
    read_noise_electrons: float = Field(default=7.0, ge=0.0, le=200.0)
    black_level: float = Field(default=1.0, ge=0.0, le=32.0, description="grey levels added to every pixel")
    hot_pixels: int = Field(default=20, ge=0, le=10_000)
    sensor_dust: int = Field(default=6, ge=0, le=500, description="specks in front of the sensor")
    vignetting: float = Field(default=0.08, ge=0.0, le=0.9, description="loss at the corner")
    colour_cast: tuple[float, float, float] = Field(default=(1.0, 0.985, 0.95), description="lamp and filters, R G B")
    lamp_drift_per_hour: float = Field(default=0.003, ge=0.0, le=0.5)
    flicker: float = Field(default=0.002, ge=0.0, le=0.5, description="1 sigma, per exposure")
    slots: int = Field(default=6, ge=4, le=64, description="frames in the shared ring")


class FaultSettings(BaseModel):
    """What goes wrong on purpose. Rates are shares of exposures."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lamp_off: bool = False
    frame_lost: float = Field(default=0.0, ge=0.0, le=1.0)
    frame_incomplete: float = Field(default=0.0, ge=0.0, le=1.0)
    frame_stale: float = Field(default=0.0, ge=0.0, le=1.0)


class BuilderSettings(BaseModel):
    """How far ahead fields are prepared. memory_mb bounds what prepared fields take."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ahead: int = Field(default=2, ge=0, le=4, description="fields prepared beyond the one being approached")
    memory_mb: int = Field(default=1200, ge=200, le=16_000)


class TwinSettings(BaseModel):
    """One twin: the slide, the stage and its line, the optics, the camera, and what goes wrong.

    seed: of everything that is drawn; the same settings give the same twin. reference_z_um: stage height at which a
    slide without any unevenness would be in focus.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(default=1, ge=0)
    reference_z_um: float = Field(default=3000.0, ge=500.0, le=5500.0)
    slide: SlideSettings = SlideSettings()
    mechanics: MechanicsSettings = MechanicsSettings()
    controller: ZaberSettings = ZaberSettings()
    line: LineSettings = LineSettings()
    optics: OpticsSettings = OpticsSettings()
    camera: CameraModel = CameraModel()
    faults: FaultSettings = FaultSettings()
    builder: BuilderSettings = BuilderSettings()

    @model_validator(mode="before")
    @classmethod
    def _one_seed(cls, values: Any) -> Any:  # noqa: ANN401 - raw input, checked by the fields themselves
        """Let the mechanics follow the twin's seed unless they have their own."""
        if isinstance(values, dict) and "seed" in values:
            mechanics = values.get("mechanics", {})
            if isinstance(mechanics, dict) and "seed" not in mechanics:
                return {**values, "mechanics": {**mechanics, "seed": values["seed"]}}
        return values

    def harsh(self) -> TwinSettings:
        """The same twin with the errors of stage and slide surface doubled."""
        surface = self.slide.surface
        worse = surface.model_copy(update={name: 2 * getattr(surface, name) for name in _SURFACE_ERRORS})
        return self.model_copy(
            update={
                "mechanics": self.mechanics.harsh(),
                "slide": self.slide.model_copy(update={"surface": worse}),
            }
        )


def _assigned(values: dict[str, Any], assignment: str) -> dict[str, Any]:
    """`values` with one `a.b=value` put in; the value is read as YAML."""
    path, equals, text = assignment.partition("=")
    if not equals or not path:
        raise BadTwinSettings(f"--set {assignment}: not of the form a.b=value.", remedy="Write --set optics.na=0.5.")
    *parents, last = path.split(".")
    changed = dict(values)
    node = changed
    for parent in parents:
        below = node.get(parent, {})
        if not isinstance(below, dict):
            raise BadTwinSettings(f"--set {path}: {parent} is a value, not a group.", remedy="Name an existing key.")
        node[parent] = dict(below)
        node = node[parent]
    node[last] = yaml.safe_load(text)
    return changed


def _explained(error: ValidationError, source: str) -> BadTwinSettings:
    lines = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"]) or "settings"
        said = "unknown key" if problem["type"] == "extra_forbidden" else problem["msg"]
        lines.append(f"{key}: {said}")
    return BadTwinSettings(f"Twin settings from {source}: {'; '.join(lines)}.", remedy="Correct the named keys.")


def load_settings(path: Path | None = None, assignments: Iterable[str] = (), *, harsh: bool = False) -> TwinSettings:
    """Settings from a YAML file, then `a.b=value` assignments, then doubled errors if `harsh`.

    Raises BadTwinSettings naming the file and every key that is unknown, of the wrong type or out of range.
    """
    source = "defaults" if path is None else str(path)
    values: dict[str, Any] = {}
    if path is not None:
        try:
            read = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise BadTwinSettings(f"Twin settings {path}: {error}.", remedy="Give a readable YAML file.") from error
        if read is not None and not isinstance(read, dict):
            raise BadTwinSettings(f"Twin settings {path}: not a table of keys.", remedy="Write `key: value` lines.")
        values = read or {}
    for assignment in assignments:
        values = _assigned(values, assignment)
        source = f"{source} and --set" if "--set" not in source else source
    try:
        settings = TwinSettings.model_validate(values)
        return settings.harsh() if harsh else settings
    except ValidationError as error:
        raise _explained(error, source) from error
