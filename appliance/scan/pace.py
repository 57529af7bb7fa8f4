"""How many frames a field gets before the stage leaves it, learned from the fields before."""

from __future__ import annotations

from dataclasses import dataclass

_BACK_S, _STAY_S, _SECOND_S, _FURTHER_S = 0.25, 0.045, 0.045, 0.09
"""What going back to a field costs; staying until its frame is read out and judged; a second frame in passing; and each
further one of a field that is stayed at. Measured on the twin when one went back at the end of a row; along the next
row it takes 0.15 to 0.19 s and is still counted as dearer, as drift and the stage's errors come between the frames."""
_MEMORY = 20
_SELDOM, _TRY_EVERY = 0.5, 4
"""Share of fields settled by one frame below which two are taken around the height, but for each fourth field."""


@dataclass
class Haste:
    """one, two: how often the first frame has settled a field of late, and how often it took two at most.

    Where the first seldom does, two are taken around the expected height; otherwise the first is taken there.
    """

    one: float = 1.0
    two: float = 1.0
    noted: int = 0

    def note(self, taken: int | None, settled_by: int | None, *, beside: bool = False) -> None:
        """One more field. taken: in passing, None where it was stayed at. settled_by: frames; None if left open.

        beside: the first was not taken at the expected height, so that it says little of one that is.
        """
        self.noted += 1
        if not beside:
            self.one += ((settled_by == 1) - self.one) / _MEMORY
        if taken != 1:
            self.two += ((settled_by is not None and settled_by <= 2) - self.two) / _MEMORY

    @property
    def around(self) -> bool:
        """Whether two frames are taken around the expected height; now and then not, to see how one would do."""
        return self.one < _SELDOM and self.noted % _TRY_EVERY > 0

    def frames(self) -> int | None:
        """How many to take in passing, whichever costs least time on average; None where it is better to stay."""
        open_by_one, open_by_two = 1 - self.one, 1 - self.two
        costs: dict[int | None, float] = {
            1: _BACK_S * open_by_one,
            2: _SECOND_S + _BACK_S * open_by_two,
            None: _STAY_S + _FURTHER_S * (open_by_one + open_by_two),
        }
        return min(costs, key=costs.__getitem__)


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
