"""Guessing where the stage goes next, so that fields are ready when it arrives."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence

from drivers.twin.field_builder import FieldBuilder, Place
from drivers.twin.mechanics import Mechanics
from drivers.twin.slide import SpecimenArea

_STEP_UM = 30.0
_LOOK_S = 0.01
_LATER_S = 1.0
_NEAR_UM = 500.0
_REMEMBERED = 64


def next_places(visited: Sequence[Place], area: SpecimenArea, count: int) -> list[Place]:
    """The next `count` places of a serpentine, from the places visited so far, newest last.

    Rows run along x and end where the next step would leave the specimen's box; then the step along y seen last is
    repeated and the row runs back. Nothing is guessed before two places are known, nor after a turn never seen before.
    """
    if len(visited) < 2:
        return []
    step_x, step_y = _last_steps(visited)
    (before_x, _), (x, y) = visited[-2], visited[-1]
    turned = abs(x - before_x) < _STEP_UM
    along = -step_x if turned else step_x
    places: list[Place] = []
    while len(places) < count and along:
        inside = area.x_um - abs(along) / 2 <= x + along <= area.x_um + area.width_um + abs(along) / 2
        if inside:
            x += along
        elif step_y:
            y, along = y + step_y, -along
        else:
            break
        places.append((x, y))
    return places


def _last_steps(visited: Sequence[Place]) -> tuple[float, float]:
    """The newest step along x, and the newest along y, 0 where there was none."""
    step_x = step_y = 0.0
    for (x0, y0), (x1, y1) in itertools.pairwise(visited):
        if abs(x1 - x0) >= _STEP_UM and abs(y1 - y0) < _STEP_UM:
            step_x = x1 - x0
        elif abs(y1 - y0) >= _STEP_UM and abs(x1 - x0) < _STEP_UM:
            step_y = y1 - y0
    return step_x, step_y


class Lookahead:
    """Watches the axes and tells the builder which fields to prepare: the one being approached, and those after it."""

    def __init__(self, mechanics: Mechanics, builder: FieldBuilder, area: SpecimenArea, ahead: int) -> None:
        self._mechanics = mechanics
        self._builder = builder
        self._area = area
        self._ahead = ahead
        self._visited: list[Place] = [mechanics.targets()[:2]]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="twin-lookahead", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(_LOOK_S):
            x, y, _ = self._mechanics.targets()
            if max(abs(x - self._visited[-1][0]), abs(y - self._visited[-1][1])) < _STEP_UM:
                continue
            self._visited = [*self._visited[-_REMEMBERED:], (x, y)]
            arrived_s = max(self._mechanics.done_s("x"), self._mechanics.done_s("y")) + _LATER_S
            true_x, true_y, _ = self._mechanics.true_position(arrived_s)
            guesses = next_places(self._visited, self._area, self._ahead)
            wishes = [(true_x, true_y), *((gx + true_x - x, gy + true_y - y) for gx, gy in guesses)]
            self._builder.wish([place for place in wishes if self._near_specimen(place)])

    def _near_specimen(self, place: Place) -> bool:
        area, (x, y) = self._area, place
        inside_x = area.x_um - _NEAR_UM <= x <= area.x_um + area.width_um + _NEAR_UM
        return inside_x and area.y_um - _NEAR_UM <= y <= area.y_um + area.height_um + _NEAR_UM

    def close(self) -> None:
        """Stop watching; safe to call twice."""
        self._ended.set()
        self._thread.join()
