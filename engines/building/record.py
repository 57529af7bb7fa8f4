"""What a build leaves in its folder: the plan, and `build.json` that says what it was built of, where and how."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engines import durable
from engines.building.errors import BadBuild
from engines.cuda.probe import Gpu
from engines.durable import storing, sync
from engines.errors import NotWritten
from engines.slots.record import Sha256
from engines.tensorrt.inspection import LayerSummary
from engines.tensorrt.signature import FrameSize

PLAN = "model.plan"
RECORD = "build.json"
_AGAIN = "Build the engine again on this device from its package."


class BuildRecord(BaseModel):
    """`build.json`.

    onnx_sha256: of the package's network. frame: the camera's, also where the network reads tiles. options: what the
    builder was told. seconds: of the build alone. layers: all, and those that run in INT8. messages: the last warnings
    and errors. timing_cache_sha256: as it was after the build; None where TensorRT gave none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    package: str
    version: str
    onnx_sha256: Sha256
    frame: FrameSize
    gpu: Gpu
    tensorrt: str
    options: dict[str, str | int]
    seconds: float = Field(ge=0, allow_inf_nan=False)
    layers: LayerSummary
    messages: tuple[str, ...]
    plan_sha256: Sha256
    timing_cache_sha256: Sha256 | None


def require_empty(out: Path) -> None:
    """Raises NotWritten where something lies in the folder `out` already: nothing is ever replaced."""
    with storing(out):
        if out.exists() and any(out.iterdir()):
            raise NotWritten(f"{out} is not empty.", remedy="Use what was built there, or remove it; then build again.")


def write_build(out: Path, plan: bytes, record: BuildRecord) -> None:
    """Make the folder `out` with both; it is whole or not there, after a power cut too. Raises NotWritten."""
    draft = durable.draft_of(out)
    durable.remove_tree(draft)
    durable.write_file(draft / PLAN, plan)
    durable.write_file(draft / RECORD, record.model_dump_json(by_alias=True, indent=2).encode())
    with storing(out):
        draft.replace(out)
        sync(out.parent)


def load_build(folder: Path) -> BuildRecord:
    """The record of the build in `folder`. Raises BadBuild where it is not whole, or the plan is not the one built."""
    try:
        record = BuildRecord.model_validate_json((folder / RECORD).read_bytes())
        plan = hashlib.sha256((folder / PLAN).read_bytes()).hexdigest()
    except OSError as error:
        raise BadBuild(f"{error.filename} cannot be read: {error.strerror}.", remedy=_AGAIN) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise BadBuild(f"{folder / RECORD} is not a valid record: {where}: {first['msg']}.", remedy=_AGAIN) from error
    if plan != record.plan_sha256:
        raise BadBuild(f"{folder / PLAN} has been altered since it was built.", remedy=_AGAIN)
    return record
