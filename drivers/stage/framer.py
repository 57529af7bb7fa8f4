"""Bytes to frames. Pure: no I/O, no clock; keeps only the bytes of the frame that is not yet complete."""

from __future__ import annotations

from typing import Protocol


class Framer(Protocol):
    """Cuts a byte stream into frames, whatever the pieces it arrives in."""

    bad_bytes: int

    def feed(self, chunk: bytes) -> list[bytes]:
        """Frames completed by this chunk, without their terminators."""

    def reset(self) -> None:
        """Forget an incomplete frame."""


class LineFramer:
    """Frames that end with CR or LF and begin with one of `starts`.

    A start byte inside a line means that the beginning of the line was lost and a new frame began: what came before it
    is counted as bad and dropped. So is a line that begins with no start byte, or that never ends.
    """

    def __init__(self, starts: bytes, longest: int = 1024) -> None:
        self.bad_bytes = 0
        self._starts = starts
        self._longest = longest
        self._pending = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """Frames completed by this chunk, from their start byte on, without line end."""
        frames = []
        for byte in chunk:
            if byte in b"\r\n":
                if self._pending:
                    frames.append(bytes(self._pending))
                self._pending.clear()
            elif byte in self._starts:
                self.reset()
                self._pending.append(byte)
            elif self._pending and len(self._pending) < self._longest:
                self._pending.append(byte)
            else:
                self.reset()
                self.bad_bytes += 1
        return frames

    def reset(self) -> None:
        """Forget an incomplete frame; its bytes count as bad."""
        self.bad_bytes += len(self._pending)
        self._pending.clear()
