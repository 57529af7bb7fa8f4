"""What can go wrong with engines in their slots."""

from __future__ import annotations

from engines.errors import EngineError


class BadSlot(EngineError):
    """What lies in the slot is incomplete, altered or was never accepted: it is not used."""


class WrongOrder(EngineError):
    """A step of an engine's life was asked for out of turn."""


class NothingToGoBackTo(EngineError):
    """No slot holds an engine that was in use before and was not rejected."""


class UpdateUnderWay(EngineError):
    """Another process changes the slots."""


class SlideInProgress(EngineError):
    """A slide is being read: engines stay as they are until its end."""
