"""Whether the clock behind the timestamps can be believed."""

from __future__ import annotations

import ctypes
import ctypes.util
import os

from pydantic import BaseModel, ConfigDict

_TIME_ERROR = 5
_STA_NANO = 0x2000


class ClockStatus(BaseModel):
    """What the kernel says of its clock.

    synced: None when it cannot be asked. offset_ms: last correction still to be made. source: who was asked.
    """

    model_config = ConfigDict(frozen=True)

    synced: bool | None
    source: str
    offset_ms: float | None = None


class _Timex(ctypes.Structure):
    """The head of `struct timex`, with room for the rest. Source: adjtimex(2)."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


def read_clock() -> ClockStatus:
    """Ask the kernel, changing nothing; any process may."""
    unknown = ClockStatus(synced=None, source="unknown")
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return unknown
    timex = _Timex()
    answer = adjtimex(ctypes.byref(timex))
    if answer < 0:
        return ClockStatus(synced=None, source=f"unknown ({os.strerror(ctypes.get_errno())})")
    per_ms = 1e6 if timex.status & _STA_NANO else 1e3
    return ClockStatus(synced=answer != _TIME_ERROR, source="kernel", offset_ms=timex.offset / per_ms)
