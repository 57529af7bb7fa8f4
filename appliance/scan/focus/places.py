"""Where to survey: a few of the planned fields that span the area, each with neighbours to fall back on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Place = tuple[float, float]

_INWARD = 0.8
"""Survey a little inside the area: its rim is where smears are thin."""
_ALTERNATIVES = 3


def survey_places(fields: Sequence[Place], count: int) -> list[list[Place]]:
    """At most `count` groups of fields: a place and then its nearest neighbours, in case it is blank.

    The first group lies in the middle, each next one as far as can be from those before it. Raises ValueError without
    fields.
    """
    if not fields:
        raise ValueError("a survey needs at least one field")
    points = np.asarray(fields, dtype=np.float64)
    centre = points.mean(axis=0)
    targets = centre + _INWARD * (points - centre)
    chosen = [int(np.argmin(np.hypot(*(points - centre).T)))]
    distance = np.hypot(*(targets - points[chosen[0]]).T)
    while len(chosen) < min(count, len(points)):
        target = targets[int(distance.argmax())]
        free = np.hypot(*(points - target).T)
        free[chosen] = np.inf
        chosen.append(int(free.argmin()))
        distance = np.minimum(distance, np.hypot(*(targets - target).T))
    return [_group(points, index, set(chosen)) for index in chosen]


def _group(points: np.ndarray[tuple[int, ...], np.dtype[np.float64]], index: int, taken: set[int]) -> list[Place]:
    order = np.argsort(np.hypot(*(points - points[index]).T), kind="stable").tolist()
    others = [i for i in order if i not in taken][: _ALTERNATIVES - 1]
    return [(float(points[i][0]), float(points[i][1])) for i in [index, *others]]
