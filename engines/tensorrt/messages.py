"""What TensorRT says while it builds or opens an engine: the only place where it tells why it refused one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import tensorrt as trt

_KEPT = 50
_HEARD = frozenset({"INTERNAL_ERROR", "ERROR", "WARNING"})


class Messages(trt.ILogger):
    """Keeps the last warnings and errors. TensorRT may call it from threads of its own. heard: told of each of them."""

    def __init__(self, heard: Callable[[str], None] = lambda _: None) -> None:
        trt.ILogger.__init__(self)  # pybind11 wants it called by name
        self._heard = heard
        self._kept: deque[str] = deque(maxlen=_KEPT)

    def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
        """Called by TensorRT."""
        if severity.name in _HEARD:
            line = f"{severity.name.lower().replace('_', ' ')}: {msg}"
            self._kept.append(line)
            self._heard(line)

    @property
    def lines(self) -> tuple[str, ...]:
        """The oldest first."""
        return tuple(self._kept)

    def why(self) -> str:
        """The last error, or the last warning, or that nothing was said."""
        errors = [line for line in self._kept if "error" in line.split(":", 1)[0]]
        return (errors or list(self._kept) or ["TensorRT said nothing"])[-1]
