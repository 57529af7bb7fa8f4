"""What can go wrong between a thread and the GPU."""

from __future__ import annotations

from engines.errors import EngineError


class CudaError(EngineError):
    """The CUDA driver refused a call, or there is no GPU."""


class StaleSlot(EngineError):
    """A frame slot was used out of turn, or by somebody whose frame has long been replaced."""
