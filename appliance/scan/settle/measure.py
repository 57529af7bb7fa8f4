"""Moves by one field, and pictures at delays after each: how the stage of a device comes to rest, seen by its camera.

Runs with a stage that does not wait by itself (`appliance.scan.settle.waits.without_wait`). Delays are those that the
pictures' triggers turn out to have, so that a slow host or camera only moves them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from appliance.scan.focus.places import Place
from appliance.scan.settle.decay import Displaced, Settling, settling
from appliance.scan.settle.shift import Grid, cells, displacement_px
from drivers.camera.colour import green
from drivers.camera.frame import Camera, FrameStatus
from drivers.errors import FrameTimeout
from drivers.stage import Move, Mover, MoveTimes

MOVES = 40
"""Of each axis."""
SPAN_S = 0.15
"""Delays are spread over this, by steps of the golden section, which fall in with no period."""
_GOLDEN = (math.sqrt(5) - 1) / 2
REST_S = 0.5
LONGEST_EXPOSURE_MS = 5.0
"""A longer exposure would average the ringing away."""
_STEP_UM, _STEP_WITHIN = 20.0, 0.25
"""A step that has to be seen as such, larger than any play; and the share of it by which it may be mistaken."""
PLACES = 16
"""Looked at, to tell the camera's own pattern from what lies on the slide."""
_CANDIDATES, _FEWEST_PLACES = 4, 5
_PATIENCE_S = 5.0
_TRIES = 3

XY = Literal["x", "y"]
AXES_XY: tuple[XY, XY] = ("x", "y")


@dataclass(frozen=True)
class Bench:
    """What is measured with. pause: lets seconds pass."""

    stage: Mover
    camera: Camera
    pause: Callable[[float], None]
    um_per_px: float

    def go(self, place: Place) -> tuple[Move, MoveTimes]:
        """Move in X and Y, and wait for no more than the end of the motion."""
        move = self.stage.move(x_um=place[0], y_um=place[1])
        return move, self.stage.wait(move)

    def rest_at(self, place: Place) -> None:
        """Move, and wait until nothing can ring any more."""
        self.go(place)
        self.pause(REST_S)

    def rest_over(self, x_um: float, y_um: float, z_um: float) -> None:
        """The same, at a height; a long way without one would end with Z low."""
        self.stage.wait(self.stage.move(x_um=x_um, y_um=y_um, z_um=z_um))
        self.pause(REST_S)

    def shot(self) -> tuple[Grid, float]:
        """A picture now, and when it was triggered. Raises FrameTimeout when none comes whole."""
        for _ in range(_TRIES):
            self.camera.trigger()
            frame = self.camera.grab(_PATIENCE_S)
            if frame.status is FrameStatus.OK:
                return cells(green(frame)), frame.trigger_ns / 1e9
        raise FrameTimeout(
            f"No usable frame after {_TRIES} triggers.",
            remedy="Check the camera's cable and bandwidth with `cytoscan doctor`.",
        )


@dataclass(frozen=True)
class Sight:
    """A place that shows a step of the stage. patterns: what the camera shows everywhere, as `cells`, told twice.

    Pictures are divided by it. Each is the mean of pictures of other places, and still shows a little of them, which
    stands still. So either picture is divided by a different one: what is left of one has nothing to do with what is
    left of the other.
    """

    place: Place
    patterns: tuple[Grid, Grid]

    def displaced(self, delay_s: float, still: Grid, other: Grid) -> Displaced:
        """One picture of the place against another."""
        one, two = self.patterns
        both = displacement_px(still / one, other / two), displacement_px(still / two, other / one)
        columns_px, rows_px = np.mean(both, axis=0)
        return Displaced(delay_s, float(columns_px), float(rows_px))


def find_sight(bench: Bench, places: Sequence[tuple[float, float, float]]) -> Sight | None:
    """Look at the places (x, y, z in µm), and stay at that with most detail where a small step is seen as such.

    None where there is none: in an empty field only the camera's own pattern stands in the picture, and a stage that
    rings seems to stand still. That pattern is learned from all places. Raises whatever the devices raise.
    """
    seen = []
    for x_um, y_um, z_um in places:
        bench.rest_over(x_um, y_um, z_um)
        seen.append(bench.shot()[0])
    if len(seen) < _FEWEST_PLACES:
        return None
    common = _mean(seen)
    order = sorted(range(len(places)), key=lambda index: -float((seen[index] / common).std()))
    for index in order[:_CANDIDATES]:
        x_um, y_um, z_um = places[index]
        others = seen[:index] + seen[index + 1 :]
        sight = Sight((x_um, y_um), (_mean(others[::2]), _mean(others[1::2])))
        bench.rest_over(x_um, y_um, z_um)
        if all(_shows_step(bench, sight, axis) for axis in AXES_XY):
            return sight
    return None


def _mean(pictures: Sequence[Grid]) -> Grid:
    return np.asarray(np.maximum(np.mean(pictures, axis=0), 1.0), dtype=np.float32)


def _shows_step(bench: Bench, sight: Sight, axis: XY) -> bool:
    """Whether two equal steps look equal and as long as they are, and no step looks like none.

    On noise alone a displacement is as good as drawn by lot, and one may come out right.
    """
    seen = []
    for along_um in (-_STEP_UM, 0.0, _STEP_UM, 2 * _STEP_UM):  # the first way takes up the play
        bench.rest_at(_along(sight.place, axis, along_um))
        seen.append(bench.shot()[0])
    seen.append(bench.shot()[0])
    pairs = [sight.displaced(REST_S, before, after) for before, after in itertools.pairwise(seen[1:])]
    steps = np.array([(pair.columns_px, pair.rows_px) for pair in pairs]) * bench.um_per_px / _STEP_UM
    off = (math.hypot(*steps[0]) - 1.0, math.hypot(*(steps[1] - steps[0])), math.hypot(*steps[2]))
    return max(map(abs, off)) <= _STEP_WITHIN


def measure_axis(bench: Bench, sight: Sight, axis: XY, distance_um: float, moves: int = MOVES) -> Settling:
    """How the picture comes to rest after moves of this length to the place, from both sides.

    Raises whatever the devices raise.
    """
    moved, at_rest = [], []
    for number in range(moves):
        bench.rest_at(_along(sight.place, axis, distance_um if number % 2 else -distance_um))
        move, times = bench.go(sight.place)
        idle_s = move.started_s + times.move_s
        bench.pause(SPAN_S * (number * _GOLDEN % 1.0))
        ringing, at_s = bench.shot()
        bench.pause(REST_S)
        still, again = bench.shot()[0], bench.shot()[0]
        moved.append(sight.displaced(at_s - idle_s, still, ringing))
        at_rest.append(sight.displaced(REST_S, still, again))
    return settling(moved, at_rest)


def _along(place: Place, axis: XY, um: float) -> Place:
    return (place[0] + um, place[1]) if axis == "x" else (place[0], place[1] + um)
