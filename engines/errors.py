"""What can go wrong with a network, said for the person who meets it."""

from __future__ import annotations

from functools import partial
from typing import Any


class EngineError(Exception):
    """An engine package cannot be used. `what` happened, and the `remedy`."""

    def __init__(self, what: str, *, remedy: str) -> None:
        super().__init__(f"{what} {remedy}")
        self.what = what
        self.remedy = remedy

    def __reduce__(self) -> tuple[Any, ...]:
        """Whole again in another process: a bench's worker sends its error to who waits for it."""
        return partial(type(self), remedy=self.remedy), (self.what,)


class BadPackage(EngineError):
    """The package is incomplete, altered or not readable: manifest, hash or ONNX file."""


class BadInput(EngineError):
    """The frame does not fit the network: wrong shape, type, or scale."""


class NotWritten(EngineError):
    """The disk refused; what was there before is still there."""
