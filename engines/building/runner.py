"""The parent: has an engine built in a process of its own, and says why where there is none.

It never imports TensorRT, so that a crash, or the kernel taking the memory back, ends the child only.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from engines import durable
from engines.building.errors import BuildStopped
from engines.building.events import Failure, Progress, read_event
from engines.building.exits import ERRORS, Exit
from engines.building.record import BuildRecord, load_build
from engines.building.resources import Resources, available, needed, require
from engines.cuda.libcuda import LIBRARY
from engines.durable import storing
from engines.errors import EngineError
from engines.package import EnginePackage
from engines.tensorrt.errors import BuildFailed
from engines.tensorrt.signature import FrameSize

_LINES = 5


@dataclass
class _Heard:
    """What the child has said so far: where it is, why it failed, and the last lines that were neither."""

    progress: Progress | None = None
    failure: Failure | None = None
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LINES))

    @property
    def where(self) -> str:
        at = self.progress
        return "before its first step" if at is None else f"in {at.phase!r}, {at.step} of {at.steps} steps done"


def build_engine(
    package: EnginePackage,
    frame: FrameSize,
    *,
    caches: Path,
    out: Path,
    log: Path,
    progress: Callable[[str, int, int], None],
    workspace_mib: int = 1024,
    python: str = sys.executable,
    free: Resources | None = None,
    libcuda: str = LIBRARY,
    nice: int = 19,
) -> BuildRecord:
    """Build an engine of `package` for frames of this size; takes minutes on a Jetson.

    Two builds at once would share a timing cache: the caller holds the lock of the engines' slots. The child ends with
    this thread, however that ends, and where `progress` raises.

    out: folder for what `load_build` reads; whole or not there. Where there is one already it is not built again: ask
    `load_build` first.
    caches: folder of the timing caches. log: file for all that the child says, written anew. progress: phase, steps
    done, steps of the phase. free: what there is, asked for where None. libcuda, nice: as for `python -m
    engines.building`.
    Raises NotEnough, GpuAbsent, TensorRtAbsent, BadPackage, BuildFailed, BuildStopped, NotWritten.
    """
    require(needed(package, workspace_mib), free or available(out))
    command = [python, "-m", "engines.building", "--package", str(package.folder)]
    command += ["--height", str(frame.height_px), "--width", str(frame.width_px)]
    command += ["--workspace-mib", str(workspace_mib), "--caches", str(caches), "--out", str(out)]
    command += ["--libcuda", libcuda, "--nice", str(nice)]
    durable.make_folder(log.parent)
    with storing(log):
        stream = log.open("w", encoding="utf-8", buffering=1)
    heard = _Heard()
    try:
        with stream:
            status = _run(command, heard, stream, log, progress)
    finally:
        durable.remove_tree(durable.draft_of(out))
    if status != Exit.BUILT:
        raise _error(status, heard, log)
    return load_build(out)


def _run(
    command: list[str], heard: _Heard, stream: TextIO, log: Path, progress: Callable[[str, int, int], None]
) -> int:
    """The child's exit status, less than 0 for a signal."""
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise BuildFailed(
            f"The build cannot be started: {error.strerror}.", remedy="Free memory, or install the appliance again."
        ) from error
    with child:
        try:
            for line in child.stdout or ():
                with storing(log):
                    stream.write(line)
                _hear(line, heard, progress)
        except BaseException:
            child.kill()  # at any instant: it leaves nothing half-written
            raise
    return child.returncode


def _hear(line: str, heard: _Heard, progress: Callable[[str, int, int], None]) -> None:
    event = read_event(line)
    if isinstance(event, Progress):
        heard.progress = event
        progress(event.phase, event.step, event.steps)
    elif isinstance(event, Failure):
        heard.failure = event
    else:
        heard.lines.append(line.strip())


def _error(status: int, heard: _Heard, log: Path) -> EngineError:
    if heard.failure is not None and status in ERRORS:
        return ERRORS[status](heard.failure.what, remedy=heard.failure.remedy)
    if status == -signal.SIGTERM:
        return BuildStopped("The build was stopped before it began.", remedy="Start it again.")
    if status == -signal.SIGKILL:
        return BuildFailed(
            f"The build was killed {heard.where}, as the kernel does where memory runs out.",
            remedy="Build while no slide is read and close what else runs, or give a smaller workspace.",
        )
    how = f"by signal {-status}, {signal.strsignal(-status)}," if status < 0 else f"with exit code {status}"
    return BuildFailed(
        f"The build broke off {how} {heard.where}: {' | '.join(heard.lines) or 'it said nothing'}",
        remedy=f"The engine in use stays as it is. Send {log} to the maker.",
    )
