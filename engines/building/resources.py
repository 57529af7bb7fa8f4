"""Whether there is memory and disk for a build, before it takes minutes and then fails, or takes the scanner's."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from engines.building.errors import NotEnough
from engines.package import EnginePackage

_MIB = 1 << 20
_TENSORRT_MIB = 1536
"""The builder's own libraries and kernels. An estimate: nothing has been measured on a Jetson yet."""
_DISK_MIB = 256
"""Kernels in the plan, the timing cache, the log."""
_COPIES = 8
"""Of the network in the builder's memory, and at most in the plan: weights of one byte may become four."""
_MEM_AVAILABLE = re.compile(r"^MemAvailable:\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True)
class Resources:
    """memory_bytes: what a new process can have without swapping; disk_bytes: what this user can write."""

    memory_bytes: int
    disk_bytes: int


def needed(package: EnginePackage, workspace_mib: int) -> Resources:
    """An upper estimate. A Jetson's GPU has the machine's memory, so the workspace counts."""
    network = _COPIES * len(package.onnx_bytes)
    return Resources((_TENSORRT_MIB + workspace_mib) * _MIB + network, _DISK_MIB * _MIB + network)


def available(out: Path, meminfo: Path = Path("/proc/meminfo")) -> Resources:
    """What there is now on this machine, and on the disk of `out`, which need not be there yet.

    Raises NotEnough where the kernel does not say.
    """
    found = _MEM_AVAILABLE.search(meminfo.read_text(encoding="ascii"))
    if found is None:
        raise NotEnough(f"{meminfo} does not say how much memory is free.", remedy="Build on Linux 3.14 or later.")
    out = out.absolute()
    place = next(folder for folder in (out, *out.parents) if folder.exists())
    return Resources(int(found[1]) * 1024, shutil.disk_usage(place).free)


def require(need: Resources, free: Resources) -> None:
    """Raises NotEnough with what is there and what is needed."""
    if free.memory_bytes < need.memory_bytes:
        raise NotEnough(
            f"A build needs {_mib(need.memory_bytes)} of memory and {_mib(free.memory_bytes)} are free.",
            remedy="Build while no slide is read and close what else runs, or give a smaller workspace.",
        )
    if free.disk_bytes < need.disk_bytes:
        raise NotEnough(
            f"A build needs {_mib(need.disk_bytes)} of disk and {_mib(free.disk_bytes)} are free.",
            remedy="Free space on the disk that holds the engines.",
        )


def _mib(size: int) -> str:
    return f"{size // _MIB} MiB"
