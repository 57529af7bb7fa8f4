"""Pictures in which the small package finds something, a little, and nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.acceptance.make import Picture

STRONG = (220, 40, 90)
WEAK = (190, 130, 150)
"""Reported, and no finding."""
BLUE = (40, 90, 220)
"""Not reported."""


def spots(*places: tuple[int, int, tuple[int, int, int]]) -> NDArray[np.uint8]:
    """Grey, with spots of 5 px at x, y."""
    picture = np.full((96, 128, 3), 150, np.uint8)
    for x, y, colour in places:
        picture[y - 2 : y + 3, x - 2 : x + 3] = colour
    return picture


def some_pictures() -> list[Picture]:
    """Two with findings, one with a weak detection only, one with nothing."""
    return [
        Picture("two", spots((30, 20, STRONG), (90, 60, STRONG), (60, 40, WEAK)), 0.2),
        Picture("one", spots((50, 70, STRONG)), 0.2),
        Picture("weak", spots((100, 30, WEAK)), 0.2),
        Picture("nothing", spots((40, 40, BLUE)), 0.2),
    ]
