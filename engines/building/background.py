"""How a build behaves beside the scanner: it comes last, is stopped between two steps, and ends with who started it."""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_OOM_SCORE_ADJ = Path("/proc/self/oom_score_adj")
_FIRST_TO_GO = "1000"


def enter(nice: int) -> None:
    """Make this process a build's. Call it before there is a second thread: threads inherit what is set here.

    nice: from 0 to 19, the last in turn; the disk's turn follows it. A service whose system calls are filtered keeps
    the priority that its unit gives it.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "The build cannot be tied to the process that started it")
    # Not handled but left pending: Python runs no handler while TensorRT has the main thread.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    with suppress(OSError):  # where memory runs out, the build goes and not the scanner
        _OOM_SCORE_ADJ.write_text(_FIRST_TO_GO, encoding="ascii")


def stop_asked() -> bool:
    """Whether SIGTERM has come since `enter`; from any thread."""
    return signal.SIGTERM in signal.sigpending()
