"""Round steps for scale bars, legends and small plots."""

from __future__ import annotations

import math


def nice_below(limit: float) -> float:
    """Largest of 1, 2 or 5 times a power of ten that does not exceed `limit` (> 0)."""
    decade = float(10.0 ** math.floor(math.log10(limit)))
    for factor in (5.0, 2.0, 1.0):
        if factor * decade <= limit * (1 + 1e-9):
            return factor * decade
    return decade


def nice_above(limit: float) -> float:
    """Smallest of 1, 2 or 5 times a power of ten that is not below `limit` (> 0)."""
    decade = float(10.0 ** math.floor(math.log10(limit)))
    for factor in (1.0, 2.0, 5.0):
        if factor * decade >= limit * (1 - 1e-9):
            return factor * decade
    return 10.0 * decade


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round values from `low` to `high`, roughly `about` of them; one value when the range is empty."""
    if high <= low:
        return [low]
    step = nice_above((high - low) / about)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]
