"""The settings of one appliance. Units stand in the keys; defaults fit the twin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from appliance.yaml_model import StrictModel
from drivers.stage.settings import StageSettings, standard_stage

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]

# The name that this project's udev rule gives the stage controller.
_STAGE_PORT = "/dev/cytoscan-stage"

# What an objective gives when the settings name only the magnification: (NA, µm per pixel).
# Source: 5.86 µm pixels behind a true 20x (450x on the display) or 40x (900x) objective.
_OBJECTIVES: dict[int, tuple[float, float]] = {450: (0.50, 0.293), 900: (0.75, 0.1465)}


class StageSection(StageSettings):
    """The stage as its driver wants it; what the file leaves out is the reference instrument's.

    An axis that is given at all is given whole: a guessed step size would move a real stage to wrong places.
    """

    @model_validator(mode="before")
    @classmethod
    def _reference_instrument(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        given = dict(data)
        ids = given.get("expected_device_ids")
        if isinstance(ids, dict):
            # The keys of YAML mappings are text; these are device numbers.
            numbers = {int(key) if str(key).isdecimal() else key: value for key, value in ids.items()}
            given["expected_device_ids"] = numbers
        return {**standard_stage(_STAGE_PORT).model_dump(), **given}


class CameraSection(StrictModel):
    """Which camera, and how it exposes.

    address: twin: its socket; replay: the folder of pictures; empty: the twin that this command starts.
    """

    kind: Literal["twin", "replay"] = "twin"
    exposure_ms: float = Field(default=5.0, gt=0, le=1_000)
    gain_db: float = Field(default=0.0, ge=0, le=48)
    address: str = Field(default="", validate_default=True)

    @field_validator("address")
    @classmethod
    def _replay_needs_folder(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("kind") == "replay" and not value:
            msg = "a replay camera needs the folder of its pictures here"
            raise ValueError(msg)
        return value


class OpticsSection(StrictModel):
    """Objective and calibration. `na` and `um_per_px` follow from the magnification unless they are given.

    magnification: of the display (450 or 900). um_per_px: from the calibration. wavelength_um: of the light.
    """

    magnification: Literal[450, 900] = 450
    na: float = Field(default=0.50, gt=0, lt=1)
    um_per_px: float = Field(default=0.293, gt=0, le=5)
    wavelength_um: float = Field(default=0.55, ge=0.3, le=1.1)

    @model_validator(mode="before")
    @classmethod
    def _objective(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        given = data.get("magnification", 450)
        if not isinstance(given, int) or given not in _OBJECTIVES:
            return data
        na, um_per_px = _OBJECTIVES[given]
        return {"na": na, "um_per_px": um_per_px, **data}

    @property
    def dof_um(self) -> float:
        """Depth of field in air, in µm: wavelength / NA² + e / (M NA), where the sensor's pixel e over M is um_per_px.

        Source: microscopyu.com, depth of field (wave term and sensor term added).
        """
        return self.wavelength_um / self.na**2 + self.um_per_px / self.na


class FocusSection(StrictModel):
    """How focus is searched.

    mode: "fast" keeps the first frame that is surely within the depth of field, "exact" goes on until it is sharpest;
    None: as the assay says.
    reference_z_um: nominal height of the specimen. search_um: how far from it focus may be searched, each way.
    survey_points: places focused before the scan to learn the surface.
    bracket_step_dof, keep_within_dof: in depths of field; a frame estimated nearer than keep_within_dof is kept.
    max_exposures: for one field, the kept frame included.
    min_z_um, max_z_um: autofocus never asks for a height outside.
    """

    mode: Literal["fast", "exact"] | None = None
    min_z_um: NotNegative = 100.0
    max_z_um: Positive = 5_900.0
    reference_z_um: Positive = 3_000.0
    search_um: float = Field(default=60.0, gt=0, le=500)
    survey_points: int = Field(default=5, ge=3, le=49)
    bracket_step_dof: float = Field(default=0.8, gt=0, le=3)
    max_exposures: int = Field(default=8, ge=3, le=30)
    keep_within_dof: float = Field(default=0.3, gt=0, le=0.5)

    @field_validator("reference_z_um")
    @classmethod
    def _reference_inside(cls, value: float, info: ValidationInfo) -> float:
        low, high = info.data.get("min_z_um", 0.0), info.data.get("max_z_um", float("inf"))
        if not low <= value <= high:
            msg = f"{value:g} lies outside min_z_um to max_z_um ({low:g} to {high:g} um)"
            raise ValueError(msg)
        return value


class RegionSection(StrictModel):
    """Where the specimen lies, in stage coordinates: centre and size in µm."""

    x_um: float
    y_um: float
    width_um: Positive
    height_um: Positive
    shape: Literal["rectangle", "ellipse"] = "rectangle"


class ScanSection(StrictModel):
    """What is read and kept.

    overlap: share of a field's width and height that neighbours share. queue_length: frames waiting to be read.
    keep_top: pictures of how many findings are kept. keep_fields: keep every field's picture.
    fields: at most so many fields; without it the assay's own area. region: without it the assay's or the twin's.
    """

    overlap: float = Field(default=0.0, ge=0, le=0.5)
    queue_length: int = Field(default=2, ge=1, le=64)
    keep_top: int = Field(default=24, ge=0, le=500)
    keep_fields: bool = False
    fields: Annotated[int, Field(ge=1, le=20_000)] | None = None
    region: RegionSection | None = None


class EnginesSection(StrictModel):
    """Engine packages: those that were installed, folders named here for an assay, or else the shipped ones.

    cpu_allowed: patients' slides may be read on the processor where there is no GPU; each verdict then says so.
    slots: folder of the engines that were installed on this device. trust_root: root.json of whose releases are taken.
    good_after: slides that a new engine has to bring to their end before it is good; with more than failed_allowed
    slides that do not come to theirs, or more than restarts_allowed restarts after hangs or crashes, it
    falls back. A stop that does not come to its end in time is a hang.
    workspace_mib: memory that TensorRT may use while it builds.
    """

    serous: Path | None = None
    afb: Path | None = None
    cpu_allowed: bool = False
    slots: Path = Path("build/cytoscan/engines")
    trust_root: Path | None = None
    good_after: int = Field(default=5, ge=1, le=1_000)
    failed_allowed: int = Field(default=1, ge=0, le=100)
    restarts_allowed: int = Field(default=0, ge=0, le=100)
    workspace_mib: int = Field(default=1_024, ge=64, le=65_536)


class JournalSection(StrictModel):
    """The journal's file, and the free space below which no scan is started."""

    path: Path = Path("build/cytoscan/journal.sqlite")
    min_free_mb: float = Field(default=200.0, ge=0)


class TlsSection(StrictModel):
    """PEM files: the authority that signed the broker's certificate, and this device's own certificate and key."""

    ca_file: Path
    cert_file: Path | None = None
    key_file: Path | None = None

    @model_validator(mode="after")
    def _pair(self) -> TlsSection:
        if (self.cert_file is None) != (self.key_file is None):
            msg = "cert_file and key_file belong together: give both or neither"
            raise ValueError(msg)
        return self


class UplinkSection(StrictModel):
    """The broker between this device and the hub.

    protocol: MQTT version. client_id: the device's name unless given. in_flight: messages without receipt at a time.
    receipt_timeout_s: a message without the hub's receipt is sent again after so long.
    """

    enabled: bool = True
    host: str = Field(default="localhost", min_length=1)
    port: int = Field(default=1883, ge=1, le=65_535)
    protocol: Literal["5", "3.1.1"] = "5"
    client_id: Name | None = None
    keepalive_s: int = Field(default=30, ge=5, le=3_600)
    in_flight: int = Field(default=20, ge=1, le=1_000)
    receipt_timeout_s: float = Field(default=60.0, gt=0, le=86_400)
    username: str | None = None
    password_file: Path | None = None
    tls: TlsSection | None = None

    @field_validator("protocol", mode="before")
    @classmethod
    def _number_is_version(cls, value: object) -> object:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("password_file")
    @classmethod
    def _password_of_somebody(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and not info.data.get("username"):
            msg = "a password needs a username beside it"
            raise ValueError(msg)
        return value


class ReportSection(StrictModel):
    """Where reports go: one folder per slide below this one."""

    directory: Path = Path("build/cytoscan/reports")


class Settings(StrictModel):
    """Everything that one appliance is told. site and device name it in every message."""

    site: Name = "lab"
    device: Name = "twin-1"
    stage: StageSection = Field(default_factory=lambda: StageSection.model_validate({}))
    camera: CameraSection = CameraSection()
    optics: OpticsSection = OpticsSection()
    focus: FocusSection = FocusSection()
    scan: ScanSection = ScanSection()
    engines: EnginesSection = EnginesSection()
    journal: JournalSection = JournalSection()
    uplink: UplinkSection = UplinkSection()
    report: ReportSection = ReportSection()

    @field_validator("focus")
    @classmethod
    def _focus_on_the_axis(cls, value: FocusSection, info: ValidationInfo) -> FocusSection:
        stage = info.data.get("stage")
        if isinstance(stage, StageSection):
            axis = stage.z
            if not axis.min_um <= value.reference_z_um <= axis.max_um:
                msg = (
                    f"reference_z_um ({value.reference_z_um:g}) lies outside the z axis "
                    f"({axis.min_um:g} to {axis.max_um:g} um)"
                )
                raise ValueError(msg)
        return value
