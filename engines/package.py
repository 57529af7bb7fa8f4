"""Engine packages: a folder with `manifest.yaml`, the network, and a model card; verified before it is used."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engines.errors import BadPackage
from engines.scorer import OperatingPoint

MANIFEST = "manifest.yaml"
MODEL_CARD = "MODEL_CARD.md"
_FETCH = "Fetch the package again from where it was released; never edit it by hand."


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Label(_Strict):
    """One class the network finds.

    target: what the assay looks for; the others are counted beside it (a denominator).
    box_um: width and height of the box that is drawn. separation_um: two peaks nearer than this are one object.
    """

    name: str = Field(min_length=1)
    target: bool
    box_um: tuple[float, float]
    separation_um: float = Field(gt=0)


class Scale(_Strict):
    """Pixel sizes in µm that the network was trained for."""

    native_um_per_px: float = Field(gt=0)
    min_um_per_px: float = Field(gt=0)
    max_um_per_px: float = Field(gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> Scale:
        if not self.min_um_per_px <= self.native_um_per_px <= self.max_um_per_px:
            raise ValueError("native_um_per_px must lie between min_um_per_px and max_um_per_px")
        return self


class InputSpec(_Strict):
    """The one input: uint8 RGB (1, H, W, 3), any H and W but for `Tiling`; normalisation is inside the graph."""

    name: str
    dtype: Literal["uint8"]
    layout: Literal["NHWC"]


class OutputSpec(_Strict):
    """The one output: float32 probabilities (1, labels, H/stride, W/stride); cell i is centred on pixel i * stride."""

    name: str
    dtype: Literal["float32"]
    layout: Literal["NCHW"]
    stride: int = Field(ge=1)


class Tiling(_Strict):
    """For a network that reads pictures of one size: how a frame is cut, see `engines.tiles`.

    answers: "map", a probability map for each tile, of which the outer overlap_px are dropped where tiles overlap;
    "field", one answer for each tile, which becomes a cell; tiles then lie output.stride apart.
    """

    answers: Literal["map", "field"]
    height_px: int = Field(ge=1)
    width_px: int = Field(ge=1)
    overlap_px: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _something_is_left(self) -> Tiling:
        if 2 * self.overlap_px >= min(self.height_px, self.width_px):
            raise ValueError("overlap_px must be less than half a tile")
        return self


class OnnxFile(_Strict):
    """The network's file, named relative to the manifest, and what it must hash to."""

    file: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    opset: int = Field(ge=13)


class OperatingPointSpec(_Strict):
    """Fields of `engines.scorer.OperatingPoint`, as written in a manifest."""

    name: str
    threshold: float = Field(gt=0, lt=1)
    sensitivity: float = Field(ge=0, le=1)
    false_per_mm2: float = Field(ge=0)
    false_per_cell: float = Field(ge=0)
    cutoffs: dict[str, float] = Field(default_factory=dict)
    source: str


class DataSource(_Strict):
    """One source of training data and the terms it came under."""

    name: str
    licence: str
    used_for: str


class Quantisation(_Strict):
    """How the INT8 file was made; calibration_sha256 is over the calibration pictures in order."""

    scheme: Literal["s8-symmetric-qdq"]
    calibration_images: int = Field(ge=1)
    calibration_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    calibration_source: str
    tool: str


class Parity(_Strict):
    """INT8 as it runs against the FP32 network it was made from, on pictures that took no part in calibration.

    scores: how many probabilities were compared. spearman: of the label with the least.
    """

    pictures: int = Field(ge=1)
    scores: int = Field(ge=1)
    spearman: float = Field(ge=-1, le=1)
    max_abs_delta: float = Field(ge=0)


class Origin(_Strict):
    """The file that an imported network came from, and how its pixels and answers were taken to be."""

    file: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    pixels: str
    answers: str


class Manifest(_Strict):
    """Everything the application needs to know of a network without opening it."""

    schema_version: Literal[1] = Field(alias="schema")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    assay: str
    labels: tuple[Label, ...] = Field(min_length=1)
    scale: Scale
    input: InputSpec
    output: OutputSpec
    tiling: Tiling | None = None
    onnx: OnnxFile
    report_threshold: float = Field(gt=0, lt=1)
    operating_point: OperatingPointSpec
    training_data: tuple[DataSource, ...] = Field(min_length=1)
    quantisation: Quantisation
    parity: Parity | None = None
    origin: Origin | None = None
    intended_use: Literal["research-use-only"]

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        names = [label.name for label in self.labels]
        if len(set(names)) != len(names):
            raise ValueError("label names must differ")
        if not any(label.target for label in self.labels):
            raise ValueError("at least one label must be a target")
        if self.report_threshold > self.operating_point.threshold:
            raise ValueError("report_threshold must not exceed operating_point.threshold")
        return self

    @model_validator(mode="after")
    def _tiles_are_whole_cells(self) -> Manifest:
        tiling, stride = self.tiling, self.output.stride
        if tiling is None:
            return self
        sides = (tiling.height_px, tiling.width_px)
        if tiling.answers == "map" and any(length % stride for length in (*sides, tiling.overlap_px)):
            raise ValueError("tiling: height_px, width_px and overlap_px must be multiples of output.stride")
        if tiling.answers == "field" and (stride > min(sides) or tiling.overlap_px):
            raise ValueError("tiling: with one answer a tile, output.stride is the step: at most a tile, no overlap_px")
        return self


@dataclass(frozen=True)
class EnginePackage:
    """A verified package: its manifest, its folder, and the network's bytes exactly as they were hashed."""

    manifest: Manifest
    folder: Path
    onnx_bytes: bytes

    @property
    def title(self) -> str:
        """Name and version, e.g. "afb-zn 1.0.0"."""
        return f"{self.manifest.name} {self.manifest.version}"

    @property
    def operating_point(self) -> OperatingPoint:
        """How the engine behaves at its threshold."""
        return OperatingPoint(**self.manifest.operating_point.model_dump())


def load_package(path: Path) -> EnginePackage:
    """Read and verify the package in folder `path`.

    Raises BadPackage when the folder, the manifest or the network is missing, malformed, or does not match its hash.
    Whether the network itself can be run is for the runtime to say (`engines.onnx_cpu`).
    """
    if not path.is_dir():
        raise BadPackage(f"There is no engine package at {path}.", remedy="Correct the path in the settings.")
    manifest = _read_manifest(path / MANIFEST)
    if Path(manifest.onnx.file).name != manifest.onnx.file:
        raise BadPackage(f"{path / MANIFEST} names a network outside its own folder.", remedy=_FETCH)
    data = _read(path / manifest.onnx.file)
    found = hashlib.sha256(data).hexdigest()
    if found != manifest.onnx.sha256:
        raise BadPackage(
            f"{path / manifest.onnx.file} is not the file its manifest describes: "
            f"sha256 is {found[:12]}…, the manifest says {manifest.onnx.sha256[:12]}….",
            remedy=_FETCH,
        )
    return EnginePackage(manifest=manifest, folder=path, onnx_bytes=data)


def shipped(assay: str, um_per_px: float | None = None) -> Path:
    """Folder of the package that comes with the appliance for `assay`, and for a scale where one is given.

    Raises BadPackage when there is none, naming what there is.
    """
    zoo = Path(__file__).parent / "zoo"
    present = {path.parent: _read_manifest(path) for path in sorted(zoo.glob(f"*/{MANIFEST}"))}
    # Others, such as the label-free one, are there to be named in the settings, and are nobody's default.
    defaults = {folder: kept for folder, kept in present.items() if folder.name.startswith(f"{kept.assay}-")}
    found = {folder: kept.scale for folder, kept in defaults.items() if kept.assay == assay}
    if not found:
        known = sorted({kept.assay for kept in defaults.values()})
        raise BadPackage(
            f"No engine package for assay {assay!r} comes with this release.",
            remedy=f"Name a package in the settings, or use one of: {', '.join(known) or 'none'}.",
        )
    for folder, scale in found.items():
        if um_per_px is None or scale.min_um_per_px <= um_per_px <= scale.max_um_per_px:
            return folder
    ranges = ", ".join(f"{s.min_um_per_px:g} to {s.max_um_per_px:g}" for s in found.values())
    raise BadPackage(
        f"No engine package for assay {assay!r} at {um_per_px:.4g} µm/px comes with this release.",
        remedy=f"Use a magnification that gives {ranges} µm/px, or name a package for this scale in the settings.",
    )


def shipped_as(name: str) -> Path:
    """Folder of the package of this name that comes with the appliance. Raises BadPackage, naming what there is."""
    zoo = Path(__file__).parent / "zoo"
    names = sorted(path.parent.name for path in zoo.glob(f"*/{MANIFEST}"))
    if name not in names:
        raise BadPackage(
            f"No engine package {name!r} comes with this release.", remedy=f"Choose from: {', '.join(names)}."
        )
    return zoo / name


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise BadPackage(f"{path} is missing.", remedy=_FETCH) from error
    except OSError as error:
        raise BadPackage(f"{path} cannot be read: {error.strerror}.", remedy="Check disk and permissions.") from error


def _read_manifest(path: Path) -> Manifest:
    try:
        content = yaml.safe_load(_read(path).decode("utf-8"))
        return Manifest.model_validate(content)
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadPackage(f"{path} is not readable as YAML.", remedy=_FETCH) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise BadPackage(f"{path} is not a valid manifest: {where}: {first['msg']}.", remedy=_FETCH) from error
