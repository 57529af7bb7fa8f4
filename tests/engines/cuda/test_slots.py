"""Frame slots: turns are kept, and nobody is given another frame's slot."""

from __future__ import annotations

import threading

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from engines.cuda.errors import StaleSlot
from engines.cuda.slots import LEAST, SlotRing, SlotState, Ticket

TURN = [SlotState.READY, SlotState.ENQUEUED, SlotState.DONE, SlotState.FREE]


def go_around(ring: SlotRing, ticket: Ticket) -> None:
    for state in TURN:
        ring.advance(ticket, state)


def test_fewer_slots_than_stages_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        SlotRing(LEAST - 1)


def test_a_frame_goes_once_around() -> None:
    ring = SlotRing()
    ticket = ring.take(0.0)
    assert ticket is not None
    go_around(ring, ticket)
    with pytest.raises(StaleSlot, match="no longer holds frame 1"):
        ring.state(ticket)


@pytest.mark.parametrize("skipped", range(1, len(TURN)))
def test_no_turn_is_skipped(skipped: int) -> None:
    ring = SlotRing()
    ticket = ring.take(0.0)
    assert ticket is not None
    for before in TURN[: skipped - 1]:
        ring.advance(ticket, before)
    with pytest.raises(StaleSlot, match="cannot become"):
        ring.advance(ticket, TURN[skipped])


def test_a_ticket_of_the_frame_before_is_refused() -> None:
    ring = SlotRing()
    old = ring.take(0.0)
    assert old is not None
    go_around(ring, old)
    new = ring.take(0.0)
    assert new is not None
    assert (new.slot, new.generation) == (old.slot, old.generation + 1)
    for use in (ring.state, lambda ticket: ring.advance(ticket, SlotState.READY)):
        with pytest.raises(StaleSlot):
            use(old)
    assert ring.state(new) is SlotState.FILLING


def test_who_waits_gets_the_slot_that_is_freed() -> None:
    ring = SlotRing()
    held = [ring.take(0.0) for _ in range(LEAST)]
    assert None not in held
    assert ring.take(0.0) is None
    got: list[Ticket | None] = []
    waiting = threading.Thread(target=lambda: got.append(ring.take(30.0)))
    waiting.start()
    assert held[1] is not None
    go_around(ring, held[1])
    waiting.join(30.0)
    assert got == [Ticket(held[1].slot, held[1].generation + 1)]


class Turns(RuleBasedStateMachine):
    """Whatever is tried in whatever order, a slot has one owner, and only the next turn is given."""

    tickets = Bundle("tickets")

    def __init__(self) -> None:
        super().__init__()
        self.ring = SlotRing()
        self.known: dict[Ticket, SlotState] = {}

    @rule(target=tickets)
    def take(self) -> Ticket:
        ticket = self.ring.take(0.0)
        if ticket is None:
            assert len(self.known) == LEAST
            return Ticket(0, -1)
        assert ticket.slot not in {held.slot for held in self.known}
        self.known[ticket] = SlotState.FILLING
        return ticket

    @rule(ticket=tickets, state=st.sampled_from(SlotState))
    def advance(self, ticket: Ticket, state: SlotState) -> None:
        now = self.known.get(ticket)
        order = [SlotState.FILLING, *TURN]
        if now is not None and order.index(state) == order.index(now) + 1:
            self.ring.advance(ticket, state)
            self.known[ticket] = state
            if state is SlotState.FREE:
                del self.known[ticket]
        else:
            with pytest.raises(StaleSlot):
                self.ring.advance(ticket, state)

    @invariant()
    def every_ticket_knows_its_turn(self) -> None:
        for ticket, state in self.known.items():
            assert self.ring.state(ticket) is state


TestTurns = Turns.TestCase
TestTurns.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
