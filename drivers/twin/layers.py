"""Splitting a scene into absorbing levels: one block for the whole scene, and small ones around tall clusters."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from drivers.twin.optics import Optics
from drivers.twin.slide.scene import Layer, Scene
from drivers.twin.spectra import Lattice, Picture, Spectrum, fast_size

GREEN = 1

_WIDE_SHARE = 0.3
_CHUNK_ROWS = 64
_LN10 = math.log(10.0)
_PAD_PX = (24, 96)


@dataclass(frozen=True)
class Block:
    """A rectangle of the scene with absorbing levels, as spectra in a store.

    row0, col0: of its first pixel in the scene, even, possibly negative. rows, cols: multiples of 4.
    heights_um: of its levels over the surface at the scene's centre, field curvature included.
    offset: of its first spectrum in the store.
    """

    row0: int
    col0: int
    rows: int
    cols: int
    pitch_um: float
    heights_um: tuple[float, ...]
    offset: int = 0

    def lattice(self, colour: int) -> Lattice:
        """Green has every pixel, red and blue every second row and column."""
        full = Lattice(self.rows, self.cols, self.pitch_um)
        return full if colour == GREEN else full.half

    def _values(self, colour: int) -> int:
        return math.prod(self.lattice(colour).spectrum_shape)

    @property
    def size(self) -> int:
        """Complex values that its spectra take."""
        return len(self.heights_um) * sum(self._values(colour) for colour in range(3))

    def spectrum(self, store: NDArray[np.complex64], level: int, colour: int) -> Spectrum:
        """The spectrum of one level and colour, as a view into the store."""
        per_level = self.size // len(self.heights_um)
        start = self.offset + level * per_level + sum(self._values(before) for before in range(colour))
        shape = self.lattice(colour).spectrum_shape
        return store[start : start + self._values(colour)].reshape(shape)


@dataclass(frozen=True)
class Part:
    """A block, and the layers of the scene that it holds. whole: it spans the scene."""

    block: Block
    layers: tuple[Layer, ...]
    whole: bool


def absorbance_per_od(scene: Scene) -> Picture:
    """(1 - 10^-OD) / OD of the scene's total optical density, (rows, cols, 3); ln 10 where it is clear."""
    total = scene.total_od()
    for first in range(0, scene.height_px, _CHUNK_ROWS):
        rows = total[first : first + _CHUNK_ROWS]
        # Below 0.001 the value differs from ln 10 by a thousandth; pictures may have slightly negative densities.
        density = np.copysign(np.maximum(np.abs(rows), np.float32(1e-3)), rows)
        np.exp(density * np.float32(-_LN10), out=rows)
        np.subtract(np.float32(1), rows, out=rows)
        rows /= density
    return total


def split(scene: Scene, optics: Optics) -> list[Part]:
    """The blocks of a scene: the whole of it first, then one for each group of small layers.

    Raises ValueError when the scene's rows or columns are not a multiple of 4.
    """
    if scene.height_px % 4 or scene.width_px % 4:
        raise ValueError(f"scene of {scene.width_px}×{scene.height_px} px: both must be multiples of 4")
    area = scene.height_px * scene.width_px
    wide = [layer for layer in scene.layers if layer.od.shape[0] * layer.od.shape[1] > _WIDE_SHARE * area]
    small = [layer for layer in scene.layers if layer.od.shape[0] * layer.od.shape[1] <= _WIDE_SHARE * area]
    parts = []
    if wide:
        heights = _level_heights([layer.z_um for layer in wide], optics)
        whole = Block(0, 0, scene.height_px, scene.width_px, scene.um_per_px, heights)
        parts.append(Part(whole, tuple(wide), whole=True))
    parts.extend(_patch(group, scene, optics) for group in _groups(small))
    return parts


class Painter:
    """Paints the absorbance of a scene's layers onto the levels of its blocks."""

    def __init__(self, scene: Scene, optics: Optics) -> None:
        self._scene = scene
        self._optics = optics
        self._per_od = absorbance_per_od(scene)

    def paint(self, part: Part, colour: int) -> list[Picture]:
        """Absorbance of one colour on each level of a part, float32 (rows, cols)."""
        block = part.block
        # One array a level, and not one for all, lets the process keep and reuse the memory.
        pictures = [np.zeros((block.rows, block.cols), np.float32) for _ in block.heights_um]
        for layer in part.layers:
            rows, cols = layer.od.shape[:2]
            place = np.s_[layer.row0 : layer.row0 + rows, layer.col0 : layer.col0 + cols]
            absorbed = layer.od[:, :, colour] * self._per_od[place][:, :, colour]
            inner = np.s_[
                layer.row0 - block.row0 : layer.row0 - block.row0 + rows,
                layer.col0 - block.col0 : layer.col0 - block.col0 + cols,
            ]
            if part.whole:
                for level, share in self._levels(block.heights_um, layer.z_um):
                    cv2.accumulateProduct(absorbed, share[place], pictures[level][inner])
            else:
                height_um = layer.z_um + _centre_sag(block, self._scene, self._optics)
                pictures[_nearest(block.heights_um, height_um)][inner] += absorbed
        return pictures

    def _levels(self, levels_um: Sequence[float], z_um: float) -> Iterator[tuple[int, Picture]]:
        """The levels that a layer feeds, each with every pixel's share: nearness to its height and field curvature."""
        size, curvature_um = (self._scene.height_px, self._scene.width_px), self._optics.curvature_um
        if len(levels_um) == 1:
            yield 0, _share(size, 0.0, 0.0)
            return
        pitch = levels_um[1] - levels_um[0]
        lowest, fraction = divmod(round((z_um - levels_um[0]) / pitch, 2), 1)
        for above in range(math.ceil(fraction + curvature_um / pitch) + 1):
            if int(lowest) + above < len(levels_um):
                yield int(lowest) + above, _share(size, round(curvature_um / pitch, 6), round(fraction - above, 2))


@lru_cache(maxsize=8)
def _share(size: tuple[int, int], curvature: float, offset: float) -> Picture:
    """Nearness 0..1 of every pixel (rows, cols) to a level; curvature at the corner and offset in level distances."""
    y = np.linspace(-1, 1, size[0], dtype=np.float32) ** 2 * size[0] ** 2
    x = np.linspace(-1, 1, size[1], dtype=np.float32) ** 2 * size[1] ** 2
    sag = (y[:, None] + x[None, :]) * np.float32(curvature / (size[0] ** 2 + size[1] ** 2))
    share = np.maximum(np.float32(1) - np.abs(sag + np.float32(offset)), np.float32(0))
    share.setflags(write=False)
    return np.asarray(share, dtype=np.float32)


def _nearest(levels_um: Sequence[float], height_um: float) -> int:
    return min(range(len(levels_um)), key=lambda level: abs(levels_um[level] - height_um))


def _centre_sag(block: Block, scene: Scene, optics: Optics) -> float:
    """Field curvature in the middle of a block."""
    y = (block.row0 + block.rows / 2) - scene.height_px / 2
    x = (block.col0 + block.cols / 2) - scene.width_px / 2
    return optics.curvature_um * 4 * (x**2 + y**2) / (scene.height_px**2 + scene.width_px**2)


def _level_heights(heights_um: Sequence[float], optics: Optics) -> tuple[float, ...]:
    """Evenly spaced levels that hold all heights, curvature added; no wider apart than the layers, or DOF/3."""
    distinct = sorted({round(height, 3) for height in heights_um})
    if optics.curvature_um == 0 and len(distinct) == 1:
        return (distinct[0],)
    gaps = [after - before for before, after in itertools.pairwise(distinct)]
    widest = optics.depth_of_field_um / 3
    pitch = min([gap for gap in gaps if gap > widest / 2], default=widest)
    count = math.ceil((distinct[-1] + optics.curvature_um - distinct[0]) / pitch - 1e-6) + 1
    return tuple(distinct[0] + pitch * index for index in range(count))


def _groups(layers: Sequence[Layer]) -> list[list[Layer]]:
    """Small layers that lie mostly over one another, so that one transform serves them all."""
    groups: list[tuple[list[int], list[Layer]]] = []
    for layer in layers:
        box = [layer.row0, layer.col0, layer.row0 + layer.od.shape[0], layer.col0 + layer.od.shape[1]]
        for union, members in groups:
            if _overlap(box, union) > 0.5 * min(_area(box), _area(union)):
                union[:] = [*map(min, union[:2], box[:2]), *map(max, union[2:], box[2:])]
                members.append(layer)
                break
        else:
            groups.append((box, [layer]))
    return [members for _, members in groups]


def _area(box: Sequence[int]) -> int:
    return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)


def _overlap(one: Sequence[int], other: Sequence[int]) -> int:
    return _area([*map(max, one[:2], other[:2]), *map(min, one[2:], other[2:])])


def _patch(layers: Sequence[Layer], scene: Scene, optics: Optics) -> Part:
    """A block around small layers, with a rim for their blur."""
    slope = optics.na / math.sqrt(max(optics.refractive_index**2 - optics.na**2, 1e-6))
    tallest = max(abs(layer.z_um) for layer in layers)
    pad = int(min(max(tallest * slope / scene.um_per_px, _PAD_PX[0]), _PAD_PX[1]))
    row0 = (int(min(layer.row0 for layer in layers)) - pad) // 2 * 2
    col0 = (int(min(layer.col0 for layer in layers)) - pad) // 2 * 2
    cols, rows = fast_size(
        int(max(layer.col0 + layer.od.shape[1] for layer in layers)) + pad - col0,
        int(max(layer.row0 + layer.od.shape[0] for layer in layers)) + pad - row0,
    )
    block = Block(row0, col0, rows, cols, scene.um_per_px, ())
    sag = _centre_sag(block, scene, optics)
    heights = sorted({round(layer.z_um + sag, 3) for layer in layers})
    return Part(replace(block, heights_um=tuple(heights)), tuple(layers), whole=False)
