"""The child: asks for a GPU, builds, and puts plan, record and timing cache on the disk."""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engines import durable
from engines.building.background import stop_asked
from engines.building.errors import BuildStopped, TensorRtAbsent
from engines.building.events import Failure, Progress
from engines.building.exits import Exit, exit_for
from engines.building.record import BuildRecord, require_empty, write_build
from engines.building.timing_cache import cache_file, read_cache
from engines.cuda.probe import probe
from engines.errors import EngineError
from engines.package import load_package
from engines.tensorrt.errors import BuildFailed
from engines.tensorrt.signature import FrameSize


@dataclass(frozen=True)
class Task:
    """package: its folder. caches: folder of the timing caches. out: see `record.write_build`. libcuda: the driver."""

    package: Path
    frame: FrameSize
    workspace_mib: int
    caches: Path
    out: Path
    libcuda: str


def run(task: Task) -> Exit:
    """Build; says on standard output how far it is and why it fails, on standard error what TensorRT warned of."""
    try:
        _build(task)
    except EngineError as error:
        _say(Failure(what=error.what, remedy=error.remedy))
        return exit_for(error)
    return Exit.BUILT


def _build(task: Task) -> None:
    require_empty(task.out)
    gpu = probe(task.libcuda)
    package = load_package(task.package)
    try:
        from engines.building import compiler  # noqa: PLC0415 - without a GPU, TensorRT may end the process
    except ImportError as error:
        raise TensorRtAbsent(
            f"TensorRT cannot be imported ({error}).",
            remedy="Install JetPack's python3-libnvinfer, and use a virtual environment that sees system packages.",
        ) from error
    cache = cache_file(task.caches, gpu, compiler.VERSION)
    try:
        built = compiler.compile_network(package, task.frame, task.workspace_mib, read_cache(cache), _go_on, _warn)
    except BuildFailed as error:
        if not stop_asked():
            raise
        raise BuildStopped("The build was stopped.", remedy="Start it again; the engine in use stays.") from error
    record = BuildRecord(
        package=package.manifest.name,
        version=package.manifest.version,
        onnx_sha256=package.manifest.onnx.sha256,
        frame=task.frame,
        gpu=gpu,
        tensorrt=built.tensorrt,
        options={"workspace_mib": task.workspace_mib},
        seconds=built.seconds,
        layers=compiler.layers_of(built.plan),
        messages=built.messages,
        plan_sha256=_sha256(built.plan),
        timing_cache_sha256=_sha256(built.timing_cache) if built.timing_cache else None,
    )
    if built.timing_cache:
        durable.write_file(cache, built.timing_cache)
    write_build(task.out, built.plan, record)  # last: where it is there, all of it was done


def _go_on(phase: str, step: int, steps: int) -> bool:
    """Told by TensorRT, from its threads; raises nothing, as nothing may go through TensorRT."""
    return _say(Progress(phase=phase, step=step, steps=steps)) and not stop_asked()


def _warn(line: str) -> None:
    """What TensorRT says, at once: of a build that is killed nothing else is left."""
    with suppress(OSError):
        os.write(sys.stderr.fileno(), line.encode() + b"\n")


def _say(event: Progress | Failure) -> bool:
    """False where nobody listens any more. Written at once and whole: threads do not mix their lines."""
    try:
        os.write(sys.stdout.fileno(), event.model_dump_json().encode() + b"\n")
    except OSError:
        return False
    return True


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
