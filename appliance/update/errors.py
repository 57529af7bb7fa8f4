"""What can go wrong where an engine is installed."""

from __future__ import annotations

from engines.errors import EngineError


class NotAccepted(EngineError):
    """The engine does not do on this device what its maker measured; it is not used."""
