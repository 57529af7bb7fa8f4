"""What the building process says on its standard output: JSON, a line each."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Progress(_Event):
    """So many steps of a phase are done. Phases are TensorRT's; they lie within each other and take unlike times."""

    phase: str
    step: int
    steps: int


class Failure(_Event):
    """Why the build ends, said last; the exit code is the error's class."""

    what: str
    remedy: str


_EVENT: TypeAdapter[Progress | Failure] = TypeAdapter(Progress | Failure)


def read_event(line: str) -> Progress | Failure | None:
    """What a line says; None where it is none of these, but something that a library has printed."""
    try:
        return _EVENT.validate_json(line)
    except ValidationError:
        return None
