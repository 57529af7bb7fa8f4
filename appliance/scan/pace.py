"""How many frames a field gets before the stage leaves it, learned from the fields before."""

from __future__ import annotations

from dataclasses import dataclass, field

_BACK_S, _STAY_S, _SECOND_S, _FURTHER_S = 0.19, 0.045, 0.045, 0.09
"""What going back to a field along the next row costs, with one frame there; staying until its frame is read out and
judged; a second or third frame in passing; and each further one of a field that is stayed at. Measured on the twin: to
go back takes 0.13 to 0.19 s."""
MEMORY, _BEFORE = 20, 6
"""Fields over which shares are averaged, and for how many of them it counts what is expected before the first."""
_SELDOM, _TRY_EVERY, _TRY_TWO_EVERY = 0.5, 8, 16
"""Share of fields settled by one frame below which two are taken around the height, but for each eighth field; and of
those settled by two below which it may be three, but for each sixteenth."""


@dataclass
class Share:
    """How often something has come true of late; always, before the first time."""

    value: float = 1.0
    counted: int = _BEFORE

    def note(self, *, true: bool) -> None:
        """Once more, or not."""
        self.value += (true - self.value) / self.counted
        self.counted = min(self.counted + 1, MEMORY)


@dataclass
class Haste:
    """by_one, by_two: how often the first frame has settled a field of late, and how often it took two at most.

    by_three: how often three in passing did. Where the first seldom does, two are taken around the expected height;
    otherwise the first is taken there.
    """

    by_one: Share = field(default_factory=Share)
    by_two: Share = field(default_factory=Share)
    by_three: Share = field(default_factory=Share)
    noted: int = 0

    def note(self, taken: int | None, settled_by: int | None, *, beside: bool = False) -> None:
        """One more field. taken: in passing, None where it was stayed at. settled_by: frames; None if left open.

        beside: the first was not taken at the expected height, so that it says little of one that is.
        """
        self.noted += 1
        if not beside:
            self.by_one.note(true=settled_by == 1)
        if taken != 1:
            self.by_two.note(true=settled_by is not None and settled_by <= 2)
        if taken == 3:
            self.by_three.note(true=settled_by is not None)

    @property
    def around(self) -> bool:
        """Whether two frames are taken around the expected height; now and then not, to see how one would do."""
        return self.by_one.value < _SELDOM and self.noted % _TRY_EVERY > 0

    def frames(self) -> int | None:
        """How many to take in passing, whichever costs least time on average; None where it is better to stay."""
        open_by_one, open_by_two = 1 - self.by_one.value, 1 - self.by_two.value
        costs: dict[int | None, float] = {
            1: _BACK_S * open_by_one + _FURTHER_S * open_by_two,
            2: _SECOND_S + _BACK_S * open_by_two,
            None: _STAY_S + _FURTHER_S * (open_by_one + open_by_two),
        }
        if self.by_two.value < _SELDOM:
            costs[3] = 2 * _SECOND_S + _BACK_S * (1 - self.by_three.value)
        cheapest = min(costs, key=costs.__getitem__)
        return 2 if cheapest == 3 and self.noted % _TRY_TWO_EVERY == 0 else cheapest


@dataclass
class Checks:
    """Which fields are focused without the judge, so that it is checked and learns the slide: ever fewer.

    A slide shifts what all its frames show alike. What is left of that after the survey would be the same error in all
    fields, and the surface, which hears of every field, would believe it.
    """

    visited: int = 0
    gap: int = 0
    due: int = 1

    @property
    def due_next(self) -> bool:
        """Whether `asked` will say so of the next field."""
        return self.visited + 1 >= self.due

    def asked(self) -> bool:
        """Whether the next field is one; each gap is two fields longer than the one before."""
        due = self.due_next
        self.visited += 1
        if not due:
            return False
        self.gap += 2
        self.due = self.visited + self.gap
        return True
