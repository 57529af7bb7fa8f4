"""Twin tiles and whole fields by seed: what pools are made of, and what networks are measured on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.twin.slide import Slide
from engines.decode import find_peaks
from engines.training.metrics import Matches, join, match
from engines.training.subjects import Subject
from engines.training.targets import Sample
from engines.training.twin_tiles import FIELD_PX, UNCERTAIN, Tile, TileMaker, may_be, to_sample

_TILES_PER_SLIDE = 2
_FLOOR = 0.02


def tile_source(
    subject: Subject,
    seeds: range,
    side_px: tuple[int, int] = FIELD_PX,
    rate: Callable[[np.random.Generator], float] | None = None,
) -> Callable[[np.random.Generator, int], Sample]:
    """make(rng, index) for `pools.build_pool`: tiles of twin slides, two from each slide of `seeds` in turn.

    side_px: width and height. A whole field costs hardly more than a small tile, most of it being the slide's.
    """
    maker = TileMaker(subject.microscope, subject.label_of, side_px)
    current: list[tuple[int, Slide]] = []

    def make(rng: np.random.Generator, index: int) -> Sample:
        seed = seeds[index // _TILES_PER_SLIDE]
        if not current or current[0][0] != seed:
            drawn = (rate or subject.pool_rate)(np.random.default_rng([seed, 1]))
            current[:] = [(seed, subject.pool_slide(seed, drawn))]
        slide = current[0][1]
        tile = maker.render(slide, maker.random_place(slide, rng), draw_defocus(subject, rng), rng)
        for _ in range(3):
            if tile.labels.size or rng.random() < 0.15:
                break
            tile = maker.render(slide, maker.random_place(slide, rng), draw_defocus(subject, rng), rng)
        targets = [label.target for label in subject.labels]
        return to_sample(tile, targets, subject.stride, subject.bump_px, subject.overlap)

    return make


def draw_defocus(subject: Subject, rng: np.random.Generator) -> float:
    """Distance of the focal plane from the surface, µm: mostly within half a depth of field, one in ten up to two."""
    depth = subject.microscope.depth_um
    if rng.random() < 0.1:
        return float(rng.uniform(-2, 2)) * depth
    return float(np.clip(rng.normal(0, 0.4), -1, 1)) * depth


def field_tiles(subject: Subject, seed: int, rate: float, count: int) -> Iterator[Tile]:
    """`count` whole fields of one slide at random places, focused as an appliance would: within half a depth."""
    maker = TileMaker(subject.microscope, subject.label_of, FIELD_PX)
    slide = subject.draw_slide(seed, rate)
    rng = np.random.default_rng([seed, 2])
    for _ in range(count):
        defocus = float(np.clip(rng.normal(0, 0.15), -0.5, 0.5)) * subject.microscope.depth_um
        yield maker.render(slide, maker.random_place(slide, rng), defocus, rng)


class Network(Protocol):
    """What can be measured: anything that makes probability maps (labels, h, w) of a uint8 RGB picture (H, W, 3)."""

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The maps."""


@dataclass(frozen=True)
class Measured:
    """Detections of one label against truth over some fields.

    off_focus_um: (M,), distance of each true object of `matches.best` from the focal plane. unsure: (U,), the highest
    score at each object that nobody could name, of any label. area_mm2, fields, cells: what was looked at.
    """

    matches: Matches
    off_focus_um: NDArray[np.float64]
    unsure: NDArray[np.float64]
    area_mm2: float
    fields: int
    cells: int

    def sensitivity(self, threshold: float, within_um: float = np.inf) -> float:
        """Share of true objects found at `threshold`, of those within `within_um` of the focal plane."""
        best = self.matches.best[self.off_focus_um <= within_um]
        return float((best >= threshold).mean()) if best.size else float("nan")

    def share_found(self, threshold: float) -> float:
        """Share of all objects found at `threshold`, those out of focus included: what a density is corrected by.

        Of networks with one label; of others nobody knows to which label an unsure object belongs.
        """
        every = np.concatenate([self.matches.best, self.unsure])
        return float((every >= threshold).mean()) if every.size else float("nan")

    def false_count(self, threshold: float) -> int:
        """False findings at `threshold`."""
        return int((~self.matches.true & (self.matches.scores >= threshold)).sum())

    def threshold_for(self, allowed: float) -> float:
        """The lowest threshold with at most `allowed` false findings in all, from 0.05 to 0.98."""
        wrong = np.sort(self.matches.scores[~self.matches.true])[::-1]
        limit = int(allowed)
        edge = float(wrong[limit]) + 1e-4 if wrong.size > limit else _FLOOR
        return float(np.clip(edge, 0.05, 0.98))

    def balanced_threshold(self) -> float:
        """The threshold at which as many objects are invented as are missed, so that a count is right on average."""
        grid = np.linspace(0.05, 0.95, 91)
        missed = np.array([(self.matches.best < t).sum() for t in grid])
        invented = np.array([self.false_count(float(t)) for t in grid])
        return float(grid[int(np.argmin(np.abs(missed - invented)))])


def measure(scorer: Network, subject: Subject, tiles: Iterable[Tile]) -> list[Measured]:
    """One Measured for each label of `subject`, over rendered `tiles` with truth."""
    parts: list[list[Matches]] = [[] for _ in subject.labels]
    distances: list[list[NDArray[np.float64]]] = [[] for _ in subject.labels]
    unsure: list[list[NDArray[np.float64]]] = [[] for _ in subject.labels]
    area, fields, cells = 0.0, 0, 0
    scale = subject.microscope.um_per_px
    for tile in tiles:
        maps = scorer.probabilities(tile.picture)
        area += tile.picture.shape[0] * tile.picture.shape[1] * (scale * 1e-3) ** 2
        fields += 1
        cells += int((tile.labels >= 0).sum())
        for index, label in enumerate(subject.labels):
            peaks = find_peaks(maps[index], subject.stride, label.separation_um / scale, _FLOOR)
            places = np.stack([peaks.x_px, peaks.y_px], axis=1).astype(np.float64)
            found, at_unsure = _match_label(peaks.probability.astype(np.float64), places, tile, index, subject)
            parts[index].append(found)
            unsure[index].append(at_unsure)
            distances[index].append(tile.off_focus_um[tile.labels == index])
    return [
        Measured(join(part), _one(away), _one(open_), area, fields, cells)
        for part, away, open_ in zip(parts, distances, unsure, strict=True)
    ]


def _one(pieces: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.concatenate([np.zeros(0), *pieces])


def on_border(places: NDArray[np.float64], tile: Tile, subject: Subject) -> NDArray[np.bool_]:
    """Which places (N, 2), x and y, lie so near the frame's border that what is there may be cut by it, (N,)."""
    border = subject.match_um(0.0) / subject.microscope.um_per_px
    far_corner = np.array(tile.picture.shape[1::-1]) - 1
    return np.asarray((np.minimum(places, far_corner - places) < border).any(axis=1))


def _match_label(
    scores: NDArray[np.float64], places: NDArray[np.float64], tile: Tile, index: int, subject: Subject
) -> tuple[Matches, NDArray[np.float64]]:
    """Matches of one label, and the best score at each object nobody could name.

    What lies on such an object, on a target for a non-target, or on the frame's border is left out of the matches: an
    object that the border cuts belongs to the neighbouring field. A target seen in what is none, however blurred, is
    false.
    """
    scale = subject.microscope.um_per_px
    reach = np.array([subject.match_um(max(w, h) * scale) / scale for w, h in tile.places[:, 2:]])
    own, unsure = tile.labels == index, tile.labels == UNCERTAIN
    is_target = subject.labels[index].target
    excused = may_be(tile.labels, index, is_target) & ~own
    if not is_target:
        excused = excused | ((tile.labels >= 0) & ~own)
    found = match(scores, places, tile.places[own, :2], reach[own])
    wrong = found.places[~found.true]
    at_unsure = match(found.scores[~found.true], wrong, tile.places[unsure, :2], reach[unsure]).best
    distance = np.hypot(
        wrong[:, None, 0] - tile.places[None, excused, 0], wrong[:, None, 1] - tile.places[None, excused, 1]
    )
    cut = on_border(wrong, tile, subject)
    keep = np.ones(found.scores.size, np.bool_)
    keep[~found.true] = ~((distance <= reach[None, excused]).any(axis=1) | cut)
    return Matches(found.scores[keep], found.true[keep], found.best, found.places[keep]), at_unsure
