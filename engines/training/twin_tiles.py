"""Tiles of twin slides with their truth: rendered once, kept in one file, sampled many times."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from drivers.twin.imaging import render_rgb
from numpy.typing import NDArray

from drivers.twin.slide import SceneObject, Slide

_log = logging.getLogger(__name__)

BACKGROUND = -1
UNCERTAIN = -2


@dataclass(frozen=True)
class Optics:
    """Scale and aperture of the microscope that tiles are rendered for; depth_um: depth of field."""

    um_per_px: float
    na: float

    @property
    def depth_um(self) -> float:
        """λ n/NA² + n e/(M NA) in air at 0.55 µm; e/M is the pixel's size on the specimen."""
        return 0.55 / self.na**2 + self.um_per_px / self.na


@dataclass(frozen=True)
class Tile:
    """One rendered picture and what it shows.

    picture: uint8 RGB (H, W, 3). objects: float32 (N, 5): label index (UNCERTAIN: seen or not, nobody can say),
    centre x and y in pixels, width and height in pixels. seed: of the slide. defocus_um: of the exposure.
    """

    picture: NDArray[np.uint8]
    objects: NDArray[np.float32]
    seed: int
    defocus_um: float


LabelOf = Callable[[SceneObject, float], int]


def render_tile(
    slide: Slide, seed: int, place: tuple[float, float], side_px: tuple[int, int], optics: Optics, label_of: LabelOf,
    defocus_um: float, rng: np.random.Generator,
) -> Tile:
    """One tile of (width, height) `side_px` with its top-left pixel at stage `place`.

    label_of(object, distance of its middle from the focal plane in µm) gives its label index, BACKGROUND or UNCERTAIN.
    """
    x0, y0 = place
    width, height = side_px
    picture, objects = render_rgb(
        slide, x0 + (width - 1) / 2 * optics.um_per_px, y0 + (height - 1) / 2 * optics.um_per_px, width, height,
        optics.um_per_px, optics.na, defocus_um, rng,
    )
    rows = []
    for item in objects:
        label = label_of(item, abs(item.z_um - defocus_um))
        if label != BACKGROUND:
            scale = optics.um_per_px
            rows.append(
                (label, (item.x_um - x0) / scale, (item.y_um - y0) / scale, item.width_um / scale, item.height_um / scale)
            )
    return Tile(picture, np.array(rows, np.float32).reshape(-1, 5), seed, defocus_um)
