"""What can go wrong with an engine on the GPU."""

from __future__ import annotations

from engines.errors import EngineError


class BuildFailed(EngineError):
    """TensorRT could not build an engine of a network."""


class EngineRefused(EngineError):
    """A built engine cannot be used here: another TensorRT, another GPU, damaged, or other inputs than promised."""


class EngineFailed(EngineError):
    """An engine that was open gave no answer, or not one of this picture."""
