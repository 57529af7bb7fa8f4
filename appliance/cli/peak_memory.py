"""How much memory this program has taken at most."""

from __future__ import annotations

import os
from pathlib import Path

_STATUS = Path("/proc/self/status")
_FORGET = Path("/proc/self/clear_refs")


def peak_mb() -> float:
    """Largest resident memory in MB of 2^20 bytes: of this program, not of the one that started it.

    The usual getrusage would carry that one's over. Raises OSError where the kernel does not say.
    """
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise OSError(f"{_STATUS} of process {os.getpid()} has no VmHWM")


def reset_peak() -> None:
    """From now on, `peak_mb` speaks of what comes. Raises OSError where the kernel does not let it."""
    _FORGET.write_text("5", encoding="ascii")
