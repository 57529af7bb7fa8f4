"""What the sender counts, and how others see it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class SenderStatus:
    """The sender at one instant; counts since its start.

    alive: its thread runs. connected: the broker took us and receipts are subscribed. hub_present: None until told.
    refused: messages that the broker or the hub refused. last_problem: empty when nothing is wrong.
    """

    alive: bool = False
    connected: bool = False
    hub_present: bool | None = None
    connections: int = 0
    published: int = 0
    receipts: int = 0
    refused: int = 0
    last_problem: str = ""


class Traffic:
    """The status, written by the sender's thread and read by any; waiters are woken by each change."""

    def __init__(self) -> None:
        self._status = SenderStatus()
        self.changed = threading.Condition()

    @property
    def status(self) -> SenderStatus:
        """The status now."""
        return self._status

    def update(
        self,
        *,
        alive: bool | None = None,
        connected: bool | None = None,
        hub_present: bool | None = None,
        problem: str | None = None,
    ) -> None:
        """Set what is given."""
        given = {"alive": alive, "connected": connected, "hub_present": hub_present, "last_problem": problem}
        with self.changed:
            self._status = replace(self._status, **{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]
            self.changed.notify_all()

    def count(self, *, connections: int = 0, published: int = 0, receipts: int = 0, refused: int = 0) -> None:
        """Add to the counts."""
        with self.changed:
            now = self._status
            self._status = replace(
                now,
                connections=now.connections + connections,
                published=now.published + published,
                receipts=now.receipts + receipts,
                refused=now.refused + refused,
            )
            self.changed.notify_all()
