"""What the twin's camera and its client agree on: JSON lines on a Unix socket, frames in shared memory.

The server opens with one line, `Hello`, that carries the file descriptor of the shared memory. Then each request line
is answered by one line, in order:

    {"op": "configure", "exposure_ms": 5, "gain_db": 0}  ->  {"op": "configure", "exposure_ms": 5.0, "gain_db": 0.0}
    {"op": "trigger", "seq": 7}  ->  {"op": "frame", "seq": 7, "frame_id": .., "slot": .., "generation": ..,
        "complete": true, "start_ns": .., "exposure_ms": .., "gain_db": .., "render_ms": ..}
    anything else  ->  {"op": "error", "message": ".."}

As soon as an exposure is over, a line `{"op": "exposed", "seq": ..}` says so: what the stage does from then on does not
show. While a frame takes longer to render than to read out, lines `{"op": "rendering", "seq": ..}` may come before its
answer: a simulation's cost, not a camera that stays silent. A lost frame was exposed, and is answered by nothing more.

The shared memory is a ring of slots, each a header of two generation counters and the pixels. A writer sets the first
counter, writes the pixels, then sets the second. A reader copies the pixels, and has a whole frame when the second
counter was the generation it was told before copying and the first one still is after.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PIXEL_FORMAT = "BayerRG8"
MAX_LINE_BYTES = 65536
_HEADER_BYTES = 64


@dataclass(frozen=True)
class Hello:
    """The camera's self-description and the layout of the ring."""

    model: str
    serial: str
    width_px: int
    height_px: int
    readout_ms: float
    exposure_ms: float
    gain_db: float
    slots: int
    pixel_format: str = PIXEL_FORMAT
    op: str = "hello"


@dataclass(frozen=True)
class FrameReply:
    """Where a frame lies and under what it was taken.

    start_ns: host monotonic clock when the exposure began. render_ms: how much longer the twin needed than exposure and
    readout; a real camera would have answered that much earlier.
    """

    seq: int
    frame_id: int
    slot: int
    generation: int
    complete: bool
    start_ns: int
    exposure_ms: float
    gain_db: float
    render_ms: float
    op: str = "frame"


def encode(message: Hello | FrameReply | Mapping[str, object]) -> bytes:
    """One message as one line."""
    plain = dict(message) if isinstance(message, Mapping) else asdict(message)
    return json.dumps(plain, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """One line as a message. Raises ValueError when it is not a JSON object."""
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError(f"not a message: {line[:80]!r}")
    return message


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """A name for the socket `path` that is short enough for its address (108 bytes), however deep it lies."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


class FrameRing:
    """Slots of frames in memory that two processes share. One writer; any number of readers."""

    def __init__(self, fd: int, slots: int, height_px: int, width_px: int, *, writable: bool) -> None:
        """Map the memory behind `fd`, which stays the caller's to close."""
        self.slots = slots
        self.shape = (height_px, width_px)
        self._stride = _HEADER_BYTES + height_px * width_px
        self._writable = writable
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        self._map = mmap.mmap(fd, self.size_bytes(slots, height_px, width_px), access=access)
        self._next = 0

    @staticmethod
    def size_bytes(slots: int, height_px: int, width_px: int) -> int:
        """Bytes of shared memory that the ring takes."""
        return slots * (_HEADER_BYTES + height_px * width_px)

    @classmethod
    def create(cls, slots: int, height_px: int, width_px: int) -> tuple[FrameRing, int]:
        """A new ring in anonymous memory, and the file descriptor to hand to readers."""
        fd = os.memfd_create("cytoscan-twin-frames", os.MFD_CLOEXEC)
        os.ftruncate(fd, cls.size_bytes(slots, height_px, width_px))
        return cls(fd, slots, height_px, width_px, writable=True), fd

    def _counters(self, slot: int) -> NDArray[np.uint64]:
        return np.frombuffer(self._map, dtype=np.uint64, count=2, offset=slot * self._stride)

    def _pixels(self, slot: int) -> NDArray[np.uint8]:
        offset = slot * self._stride + _HEADER_BYTES
        count = self.shape[0] * self.shape[1]
        return np.frombuffer(self._map, dtype=np.uint8, count=count, offset=offset).reshape(self.shape)

    def write(self, pixels: NDArray[np.uint8], generation: int, rows: int | None = None) -> int:
        """Put a frame into the next slot; returns the slot.

        rows: write only so many rows and leave the slot marked unfinished, as an interrupted transfer does.
        """
        slot = self._next
        self._next = (slot + 1) % self.slots
        counters = self._counters(slot)
        counters[0] = generation
        if rows is not None:
            self._pixels(slot)[:rows] = pixels[:rows]
            return slot
        self._pixels(slot)[...] = pixels
        counters[1] = generation
        return slot

    def read(self, slot: int, generation: int) -> tuple[NDArray[np.uint8], bool]:
        """A copy of the pixels, and whether they are the whole frame of that generation."""
        counters = self._counters(slot)
        begun = int(counters[1]) == generation
        pixels = self._pixels(slot).copy()
        return pixels, begun and int(counters[0]) == generation

    def close(self) -> None:
        """Unmap; the arrays given out by `read` are copies and stay valid."""
        self._map.close()
