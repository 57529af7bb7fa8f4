"""The two slots of one engine, and the link that says which is in use.

The link only ever names an engine that was accepted. Going forward, the link is moved first and the record written
after it: an accepted engine that is in use has been activated. Going back, the rejection is recorded first, so that its
reason outlives a crash, and the link is moved after it: a rejected engine that is in use is on its way out. `settle`
finishes what a crash has left between the two.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path

from engines import durable
from engines.slots.errors import BadSlot, NothingToGoBackTo, WrongOrder
from engines.slots.record import Decision, State
from engines.slots.slot import Slot, open_slot, verify, write_record

SIDES = ("a", "b")


class Pair:
    """The slots in one engine's folder. Raises NotWritten where the disk refuses a change."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._link = folder / "current"

    def slots(self) -> list[Slot]:
        """Those that are not empty; their records only have been looked at."""
        found = []
        for side in SIDES:
            with suppress(BadSlot):
                found.append(open_slot(self._folder / side))
        return found

    def spare(self) -> Path:
        """Where the next engine goes: never what is in use."""
        return self._folder / ("b" if self._side() == "a" else "a")

    def current(self) -> Slot | None:
        """The slot in use, its files verified; None where no slot is. Raises BadSlot."""
        side = self._side()
        if side is None:
            return None
        slot = open_slot(self._folder / side)
        if slot.state in {State.STAGED, State.BUILT}:
            raise BadSlot(f"{slot.folder} is in use and was never accepted.", remedy="Install its release again.")
        verify(slot)
        return slot

    def used(self) -> Slot | None:
        """The slot in use, its files not looked at; None also where its record cannot be read."""
        with suppress(BadSlot):
            side = self._side()
            return open_slot(self._folder / side) if side else None
        return None

    def settle(self, *, who: str, now: datetime) -> Slot | None:
        """The slot in use after falling back from a bad one and finishing what a crash interrupted."""
        try:
            slot = self.current()
        except BadSlot as error:
            return self.fall_back(Decision(who, error.what, now))
        if slot is None:
            return None
        if slot.state is State.REJECTED:
            return self.fall_back(Decision(who, slot.record.history[-1].why, now))
        if slot.state is State.ACCEPTED:
            return write_step(slot, State.ACTIVE, Decision(who, "A change of engines was interrupted.", now))
        return slot

    def activate(self, slot: Slot, decision: Decision) -> Slot:
        """Use an accepted engine, on trial, or a good one. Raises WrongOrder, BadSlot."""
        verify(slot)
        used = self.used()
        if used == slot and slot.state in {State.ACTIVE, State.GOOD}:
            return slot
        if slot.state not in {State.ACCEPTED, State.GOOD}:
            raise WrongOrder(
                f"{slot.record.title} is {slot.state.value} and cannot be used.",
                remedy="Start the update again from its beginning; it goes on from where it stands.",
            )
        if used is not None and used.state is State.ACTIVE:
            replaced = Decision(decision.who, f"{slot.record.title} replaces it.", decision.at)
            write_step(used, State.ACCEPTED, replaced)
        return self._use(slot, decision)

    def fall_back(self, decision: Decision) -> Slot | None:
        """Reject what is in use, and use the other slot if its engine is good, or else none."""
        self._reject_used(decision)
        for slot in self.slots():
            with suppress(BadSlot):
                verify(slot)
                if slot.state is State.GOOD:
                    return self._use(slot, decision)
        durable.remove_file(self._link)
        return None

    def before(self) -> Slot:
        """The slot that `roll_back` leads to. Raises NothingToGoBackTo saying what there is."""
        used = self.used()
        there = []
        for side in SIDES:
            folder = self._folder / side
            if not folder.exists() or (used is not None and used.folder == folder):
                continue
            try:
                slot = open_slot(folder)
                verify(slot)
            except BadSlot as error:
                there.append(error.what)
                continue
            if slot.state is State.GOOD or (slot.state is State.ACCEPTED and slot.record.was_active):
                return slot
            last = slot.record.history[-1]
            there.append(f"{folder} holds {slot.record.title}, {last.state.value} ({last.why.rstrip('.')}).")
        raise NothingToGoBackTo(
            " ".join([f"There is no engine {self._folder.name} to go back to.", *there]),
            remedy="Install the earlier release from its stick.",
        )

    def roll_back(self, decision: Decision) -> Slot:
        """Reject what is in use, and use what was in use before. Raises NothingToGoBackTo; all is then as it was."""
        back = self.before()
        self._reject_used(decision)
        return self._use(back, decision)

    def _side(self) -> str | None:
        try:
            target = str(self._link.readlink())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BadSlot(f"{self._link} is not a link.", remedy="Remove it, then start the update again.") from error
        if target not in SIDES:
            raise BadSlot(f"{self._link} names {target}, which is no slot.", remedy="Start the update again.")
        return target

    def _reject_used(self, decision: Decision) -> None:
        used = self.used()
        if used is not None and used.state is not State.REJECTED:
            write_step(used, State.REJECTED, decision)

    def _use(self, slot: Slot, decision: Decision) -> Slot:
        durable.point(self._link, slot.side)
        return write_step(slot, State.ACTIVE if slot.state is State.ACCEPTED else State.GOOD, decision)


def write_step(slot: Slot, state: State, decision: Decision) -> Slot:
    """Record a step that changes no file. Raises WrongOrder."""
    return write_record(slot.folder, slot.record.then(state, decision))
