"""Which pictures are worth cutting out: those of findings that may still be among the slide's most probable."""

from __future__ import annotations

from bisect import insort


class BestSoFar:
    """The probabilities of the `most` most probable findings until now."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: list[float] = []

    def takes(self, probability: float) -> bool:
        """Whether one more finding is among them; if so, it is counted."""
        if self._most <= 0 or (len(self._kept) >= self._most and probability <= self._kept[0]):
            return False
        insort(self._kept, probability)
        self._kept = self._kept[-self._most :]
        return True

    def forget(self, probability: float) -> None:
        """A finding that was counted stands for itself no more; one that was not counted changes nothing."""
        if probability in self._kept:
            self._kept.remove(probability)
