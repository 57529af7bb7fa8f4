"""How a process that draws scenes holds on to its memory."""

from __future__ import annotations

import ctypes
from functools import lru_cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # see mallopt(3)


@lru_cache(maxsize=1)
def keep_memory() -> None:
    """Let freed arrays of up to 32 MiB stay with the process: fetching fresh pages costs as much as filling them."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
