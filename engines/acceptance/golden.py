"""Golden fields: pictures with what the package's network said of them, and how far an engine may be from that.

They travel with a package as a folder `golden/` of PNG files and `golden.yaml`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engines.acceptance.errors import BadGolden

FOLDER = "golden"
GOLDEN = "golden.yaml"
_FETCH = "Fetch the package again from where it was released; never edit it by hand."

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Expected(_Strict):
    """One detection that the network made: its centre in pixels and its probability."""

    label: str
    x_px: float
    y_px: float
    probability: float = Field(ge=0, le=1)


class PictureFile(_Strict):
    """A PNG file beside `golden.yaml`, RGB with 8 bits, and what it must hash to."""

    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*\.png$")
    sha256: Sha256
    um_per_px: float = Field(gt=0)


class FieldFile(PictureFile):
    """A picture with what is expected of it, down to the package's report_threshold."""

    expected: tuple[Expected, ...]


class Budget(_Strict):
    """Longest times of one field, in ms, from the picture in memory to its detections."""

    median: float = Field(gt=0)
    p99: float = Field(gt=0)


def _budgets() -> dict[str, Budget]:
    return {"cpu": Budget(median=2000, p99=4000), "default": Budget(median=50, p99=100)}


class Limits(_Strict):
    """How far an engine may be from what is expected.

    max_abs_score_delta: of the probabilities of one object; two forms in which ONNX Runtime runs the shipped INT8 files
    differ by 0.02. max_other_share: of the number of findings, in a field, of a label that is no target.
    match_radius_px: detections of a label nearer than this are one object. min_agreement: share of fields with the
    expected findings. repeats: how often each field is read again. latency_ms: budgets by class of device; "cpu" is
    ONNX Runtime, "default" any class that is not named.
    """

    max_abs_score_delta: float = Field(default=0.05, gt=0, lt=1)
    max_other_share: float = Field(default=0.02, ge=0, lt=1)
    match_radius_px: float = Field(gt=0)
    min_agreement: float = Field(default=1.0, gt=0, le=1)
    repeats: int = Field(default=3, ge=1, le=100)
    latency_ms: dict[str, Budget] = Field(default_factory=_budgets)

    @model_validator(mode="after")
    def _every_device_has_a_budget(self) -> Limits:
        if not {"cpu", "default"} <= self.latency_ms.keys():
            raise ValueError('latency_ms must name "cpu" and "default"')
        return self

    def budget(self, device_class: str) -> Budget:
        """What a device of this class may take."""
        return self.latency_ms.get(device_class, self.latency_ms["default"])


class GoldenFile(_Strict):
    """The content of `golden.yaml`.

    onnx_sha256: the network that the expected detections are from. empty: a picture on which it finds nothing.
    """

    schema_version: Literal[1] = Field(alias="schema")
    onnx_sha256: Sha256
    limits: Limits
    empty: PictureFile
    fields: tuple[FieldFile, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _pictures_differ(self) -> GoldenFile:
        pictures = (self.empty, *self.fields)
        for values in ({one.file for one in pictures}, {one.sha256 for one in pictures}):
            if len(values) != len(pictures):
                raise ValueError("no two pictures may have the same name or the same content")
        return self


@dataclass(frozen=True)
class GoldenField:
    """picture: uint8 RGB (H, W, 3) of this scale. expected: what the network said of it."""

    name: str
    picture: NDArray[np.uint8]
    um_per_px: float
    expected: tuple[Expected, ...]


@dataclass(frozen=True)
class Golden:
    """Verified golden fields in memory. sha256: of `golden.yaml`, and so of everything."""

    sha256: str
    onnx_sha256: str
    limits: Limits
    empty: GoldenField
    fields: tuple[GoldenField, ...]


def load_golden(folder: Path) -> Golden:
    """Read and verify the golden fields in `folder`. Raises BadGolden, which names the file."""
    path = folder / GOLDEN
    data = _read(path)
    try:
        told = GoldenFile.model_validate(yaml.safe_load(data.decode("utf-8")))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadGolden(f"{path} is not readable as YAML.", remedy=_FETCH) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "content"
        raise BadGolden(f"{path} is not valid: {where}: {first['msg']}.", remedy=_FETCH) from error
    return Golden(
        sha256=hashlib.sha256(data).hexdigest(),
        onnx_sha256=told.onnx_sha256,
        limits=told.limits,
        empty=_field(folder, told.empty, ()),
        fields=tuple(_field(folder, one, one.expected) for one in told.fields),
    )


def _field(folder: Path, told: PictureFile, expected: tuple[Expected, ...]) -> GoldenField:
    path = folder / told.file
    data = _read(path)
    found = hashlib.sha256(data).hexdigest()
    if found != told.sha256:
        raise BadGolden(
            f"{path} is not the picture that {GOLDEN} describes: sha256 is {found[:12]}…, it says {told.sha256[:12]}….",
            remedy=_FETCH,
        )
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        picture = None
    if picture is None or picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise BadGolden(f"{path} is not a picture in RGB with 8 bits.", remedy=_FETCH)
    return GoldenField(path.stem, np.ascontiguousarray(picture[:, :, ::-1]), told.um_per_px, expected)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise BadGolden(f"{path} is missing.", remedy=_FETCH) from error
    except OSError as error:
        raise BadGolden(f"{path} cannot be read: {error.strerror}.", remedy="Check disk and permissions.") from error
