"""The same fields in and out of focus: what is there when sharp must be found, or be known to be out of focus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from engines.training.subjects import Subject
from engines.training.twin_tiles import FIELD_PX, Tile, TileMaker

DEPTHS = (0.0, 0.5, 1.0, 1.5, 2.0)
"""Distances of the focal plane from the surface, in depths of field."""

_STREAM = 7


def defocused_fields(
    subject: Subject, slides: Sequence[tuple[int, float]], depths: Sequence[float] = DEPTHS
) -> Iterator[list[Tile]]:
    """One field of each slide (seed, rate) at every depth; the truth is that of the first depth."""
    maker = TileMaker(subject.microscope, subject.label_of, FIELD_PX)
    for seed, rate in slides:
        slide = subject.draw_slide(seed, rate)
        place = maker.random_place(slide, np.random.default_rng([seed, _STREAM]))
        tiles = [
            maker.render(slide, place, depth * subject.microscope.depth_um, np.random.default_rng([seed, _STREAM + 1]))
            for depth in depths
        ]
        yield [replace(tiles[0], picture=tile.picture) for tile in tiles]
