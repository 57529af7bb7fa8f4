"""A CUDA driver made of plain memory, built by gcc and found by whoever looks for libcuda.so.1 in this process."""

from __future__ import annotations

import ctypes
import subprocess
from enum import IntEnum
from pathlib import Path


class Kind(IntEnum):
    """What handles stand for, as in stand_in_driver.c."""

    STREAM = 1
    EVENT = 2
    GRAPH = 3
    EXEC = 4
    BUFFER = 5
    CONTEXT = 6


class StandIn:
    """The driver, and what it saw. name: under which others in this process find it."""

    def __init__(self, folder: Path, name: str = "libcuda.so.1") -> None:
        self.path = folder / name
        source = Path(__file__).with_name("stand_in_driver.c")
        order = ["gcc", "-Wall", "-Werror", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", self.path, source]
        subprocess.run(order, check=True)
        self._library = ctypes.CDLL(str(self.path))  # found by this name from now on

    def live(self) -> dict[str, int]:
        """What was not given back, by kind."""
        counts = {kind.name.lower(): self._library.stand_in_live(int(kind)) for kind in Kind}
        return {name: count for name, count in counts.items() if count}

    @property
    def depth(self) -> int:
        """How many contexts are pushed."""
        return int(self._library.stand_in_depth())

    def fail(self, call: str = "", status: int = 999) -> None:
        """From now on this call is refused with this status; none without a name."""
        self._library.stand_in_fail(call.encode(), status)

    def devices(self, count: int) -> None:
        """How many GPUs there are."""
        self._library.stand_in_devices(count)
