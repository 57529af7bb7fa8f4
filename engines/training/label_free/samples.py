"""Training samples from unlabelled fields: tiles with their nuclei, some of them made atypical."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.training.augment import Photometry, window
from engines.training.label_free.atypia import Traits, apply_change, draw_atypia, draw_sham
from engines.training.label_free.nuclei import UM_PER_PX, Nuclei, find_nuclei
from engines.training.label_free.pictures import SMALLEST_PX, FieldFile, read_field
from engines.training.targets import Sample, add_bump

_log = logging.getLogger(__name__)

TILE_PX = 320
WINDOW_PX = 256
_NUCLEUS_BUMP_PX = 7.0
_USUAL = Traits()


@dataclass(frozen=True)
class UnlabelledTile:
    """A picture (TILE_PX, TILE_PX, 3) of a negative slide and the nuclei found in it."""

    slide: str
    picture: NDArray[np.uint8]
    nuclei: Nuclei


@dataclass(frozen=True)
class Tiles:
    """Tiles cut from fields; unreadable: files that were left out. nuclei: in all fields that were read."""

    tiles: tuple[UnlabelledTile, ...]
    unreadable: tuple[str, ...]
    nuclei: int


@dataclass(frozen=True)
class Mixing:
    """How samples are made. atypical, sham: shares of the nuclei of a tile that are changed."""

    traits: Traits = _USUAL
    atypical: float = 0.2
    sham: float = 0.2


def cut_tiles(fields: Sequence[FieldFile], count: int, seed: int) -> Tiles:
    """About `count` tiles, as many of each slide, most of them around a nucleus.

    Raises EngineError when no field can be read or none holds a nucleus.
    """
    slides = sorted({f.slide for f in fields})
    per_field = {s: -(-count // (len(slides) * sum(f.slide == s for f in fields))) for s in slides}
    tiles: list[UnlabelledTile] = []
    unreadable: list[str] = []
    nuclei = 0
    for index, field in enumerate(fields):
        picture = read_field(field.path)
        if picture is None:
            unreadable.append(str(field.path))
            continue
        found = find_nuclei(picture)
        nuclei += found.x.size
        tiles.extend(_cut(field.slide, picture, found, per_field[field.slide], np.random.default_rng([seed, index])))
        if (index + 1) % 50 == 0:
            _log.info("%d of %d fields read, %d nuclei", index + 1, len(fields), nuclei)
    if len(unreadable) == len(fields):
        raise EngineError(
            f"None of {len(fields)} pictures can be used: they cannot be decoded or are smaller than "
            f"{SMALLEST_PX} x {SMALLEST_PX} pixels.",
            remedy="Save whole fields as PNG, JPEG or TIFF with 8 bits a colour.",
        )
    return Tiles(tuple(tiles), tuple(unreadable), nuclei)


def _cut(
    slide: str, picture: NDArray[np.uint8], nuclei: Nuclei, count: int, rng: np.random.Generator
) -> Iterator[UnlabelledTile]:
    height, width = picture.shape[:2]
    for _ in range(count):
        left, top = int(rng.integers(0, width - TILE_PX + 1)), int(rng.integers(0, height - TILE_PX + 1))
        if nuclei.x.size and rng.random() < 0.9:
            one = int(rng.integers(nuclei.x.size))
            near = np.array([nuclei.x[one], nuclei.y[one]]) - rng.integers(60, TILE_PX - 60, 2)
            left, top = int(np.clip(near[0], 0, width - TILE_PX)), int(np.clip(near[1], 0, height - TILE_PX))
        tile = np.ascontiguousarray(picture[top : top + TILE_PX, left : left + TILE_PX])
        yield UnlabelledTile(slide, tile, nuclei.within(left, top, TILE_PX))


def to_sample(tile: UnlabelledTile, mixing: Mixing, stride: int, rng: np.random.Generator) -> Sample:
    """A copy of `tile` with some nuclei made atypical (first label), the others as they are (second label)."""
    picture = tile.picture.copy()
    nuclei = tile.nuclei
    target = np.zeros((2, *(-(-side // stride) for side in picture.shape[:2])), np.float32)
    draw = rng.random(nuclei.x.size)
    changed: list[tuple[float, float, float]] = []
    for x, y, radius, part in zip(nuclei.x, nuclei.y, nuclei.radius, draw, strict=True):
        atypical = part < mixing.atypical and not any(np.hypot(x - a, y - b) < 1.2 * r for a, b, r in changed)
        if atypical:
            change = draw_atypia(float(x), float(y), float(radius), mixing.traits, UM_PER_PX, rng)
        elif part > 1 - mixing.sham:
            change = draw_sham(float(x), float(y), float(radius), UM_PER_PX, rng)
        else:
            continue
        if apply_change(picture, change, rng) and atypical:
            changed.append((float(x), float(y), change.wanted))
    for x, y, wanted in changed:
        add_bump(target[0], x, y, stride, float(np.clip(0.45 * wanted, 7.0, 14.0)))
    for x, y in zip(nuclei.x, nuclei.y, strict=True):
        if not any(np.hypot(x - a, y - b) < r for a, b, r in changed):
            add_bump(target[1], float(x), float(y), stride, _NUCLEUS_BUMP_PX)
    return Sample(picture, target, np.ones_like(target))


def draw_window(
    tiles: Sequence[UnlabelledTile], mixing: Mixing, stride: int, how: Photometry, rng: np.random.Generator
) -> Sample:
    """One training window: a random tile, some of its nuclei changed, turned and varied."""
    sample = to_sample(tiles[int(rng.integers(len(tiles)))], mixing, stride, rng)
    return window([sample], WINDOW_PX, stride, rng, how)
