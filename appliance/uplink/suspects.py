"""A message over which the broker drops the connection must not hold back the others for ever."""

from __future__ import annotations

from collections.abc import Sequence

LONE_LOSSES = 8


class Suspects:
    """Remembers what was out, unanswered, when connections were lost.

    After such a loss the sender goes on with one message at a time (`cautious`) until the broker answers one; the
    least tried goes first, so the others get through, and what is out alone each time is the cause.
    """

    def __init__(self) -> None:
        self.cautious = False
        self._lone_losses: dict[str, int] = {}

    def lost(self, unanswered: Sequence[str]) -> str | None:
        """Note a lost connection with these keys unanswered; the key that has caused too many losses, or None."""
        if not unanswered:
            return None
        alone = self.cautious and len(unanswered) == 1
        self.cautious = True
        if not alone:
            return None
        key = unanswered[0]
        self._lone_losses[key] = self._lone_losses.get(key, 0) + 1
        if self._lone_losses[key] < LONE_LOSSES:
            return None
        del self._lone_losses[key]
        return key

    def answered(self, key: str) -> None:
        """Note that the broker answered: this message is harmless."""
        self.cautious = False
        self._lone_losses.pop(key, None)
