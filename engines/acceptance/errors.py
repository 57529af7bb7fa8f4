"""What can go wrong with golden fields themselves; what an engine gets wrong stands in its report."""

from __future__ import annotations

from engines.errors import EngineError


class BadGolden(EngineError):
    """The golden fields are incomplete, altered, of another network, or show too little to try an engine on."""
