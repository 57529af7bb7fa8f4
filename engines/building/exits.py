"""Exit codes of `python -m engines.building`, and which error each stands for."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from engines.building.errors import BuildStopped, TensorRtAbsent
from engines.cuda.probe import GpuAbsent
from engines.errors import BadPackage, EngineError, NotWritten
from engines.tensorrt.errors import BuildFailed


class Exit(IntEnum):
    """How a build ended. 1 and 2 are Python's own: it broke off with a traceback; its options are wrong."""

    BUILT = 0
    FAILED = 3
    BAD_PACKAGE = 4
    NO_GPU = 5
    NO_TENSORRT = 6
    NOT_WRITTEN = 7
    STOPPED = 8


ERRORS: Mapping[int, type[EngineError]] = {
    Exit.BAD_PACKAGE: BadPackage,
    Exit.NO_GPU: GpuAbsent,
    Exit.NO_TENSORRT: TensorRtAbsent,
    Exit.NOT_WRITTEN: NotWritten,
    Exit.STOPPED: BuildStopped,
    Exit.FAILED: BuildFailed,
}


def exit_for(error: EngineError) -> Exit:
    """The exit code for an error that ended a build."""
    return next((Exit(code) for code, kind in ERRORS.items() if isinstance(error, kind)), Exit.FAILED)
