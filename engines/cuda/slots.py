"""Who owns each frame slot: what keeps one field's answer from being taken for another's.

A slot goes FREE, FILLING (the camera's thread writes its frame), READY, ENQUEUED (the GPU reads it), DONE (its answer
is read), FREE. A ticket names slot and generation; with each new frame the generation rises, so that a ticket of an
earlier one is refused. Source: edge reference, appendix B.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import Enum

from engines.cuda.errors import StaleSlot

LEAST = 3
"""Slots with which capture, network and reading of answers overlap."""


class SlotState(Enum):
    """Whose turn it is."""

    FREE = "free"
    FILLING = "filling"
    READY = "ready"
    ENQUEUED = "enqueued"
    DONE = "done"


_NEXT = {
    SlotState.FILLING: SlotState.READY,
    SlotState.READY: SlotState.ENQUEUED,
    SlotState.ENQUEUED: SlotState.DONE,
    SlotState.DONE: SlotState.FREE,
}


@dataclass(frozen=True)
class Ticket:
    """One frame in one slot."""

    slot: int
    generation: int


class SlotRing:
    """The states of a fixed number of slots. Thread-safe."""

    def __init__(self, count: int = LEAST) -> None:
        if count < LEAST:
            raise ValueError(f"{count} slots: at least {LEAST} are needed for capture, network and answers to overlap")
        self._states = [SlotState.FREE] * count
        self._generations = [0] * count
        self._changed = threading.Condition()

    def take(self, timeout_s: float) -> Ticket | None:
        """A free slot, now FILLING, as soon as there is one; None where none becomes free in time."""
        with self._changed:
            if not self._changed.wait_for(lambda: SlotState.FREE in self._states, timeout_s):
                return None
            slot = self._states.index(SlotState.FREE)
            self._states[slot] = SlotState.FILLING
            self._generations[slot] += 1
            return Ticket(slot, self._generations[slot])

    def advance(self, ticket: Ticket, state: SlotState) -> None:
        """The slot's next state, which must be the one that follows. Raises StaleSlot."""
        with self._changed:
            now = self._state(ticket)
            if _NEXT.get(now) is not state:
                raise StaleSlot(
                    f"Slot {ticket.slot}, frame {ticket.generation} is {now.value} and cannot become {state.value}.",
                    remedy="This is a fault of the program: report it with the log; the field is scored again.",
                )
            self._states[ticket.slot] = state
            self._changed.notify_all()

    def state(self, ticket: Ticket) -> SlotState:
        """Where its frame stands. Raises StaleSlot where the slot holds another one by now."""
        with self._changed:
            return self._state(ticket)

    def _state(self, ticket: Ticket) -> SlotState:
        now = self._generations[ticket.slot]
        if now != ticket.generation or self._states[ticket.slot] is SlotState.FREE:
            raise StaleSlot(
                f"Slot {ticket.slot} no longer holds frame {ticket.generation} (now {now}).",
                remedy="This is a fault of the program: report it with the log; the field is scored again.",
            )
        return self._states[ticket.slot]
