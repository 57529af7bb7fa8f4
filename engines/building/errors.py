"""What can go wrong around a build; what TensorRT itself says is `engines.tensorrt.errors.BuildFailed`."""

from __future__ import annotations

from engines.errors import EngineError


class NotEnough(EngineError):
    """A build would run out of memory or disk; it was not begun."""


class TensorRtAbsent(EngineError):
    """TensorRT cannot be imported here."""


class BuildStopped(EngineError):
    """Somebody asked the build to stop."""


class BadBuild(EngineError):
    """What was built is incomplete or altered: it is not used."""
