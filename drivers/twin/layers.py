"""Splitting a scene into absorbing levels: one block for the whole scene, and small ones around tall clusters."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from drivers.twin.optics import Optics
from drivers.twin.slide.scene import Layer, Scene
from drivers.twin.spectra import Lattice, Picture, Spectrum, fast_length

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
    """A block, and the layers of the scene that it holds."""

    block: Block
    layers: tuple[Layer, ...]


def absorbance_per_od(scene: Scene) -> Picture:
    """(1 - 10^-OD) / OD of the scene's total optical density, (rows, cols, 3); ln 10 where it is clear."""
    total = np.maximum(scene.total_od(), np.float32(1e-5))
    return np.asarray(-np.expm1(total * np.float32(-_LN10)) / total, dtype=np.float32)


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
        parts.append(Part(whole, tuple(wide)))
    parts.extend(_patch(group, scene, optics) for group in _groups(small))
    return parts


def paint(part: Part, scene: Scene, optics: Optics, per_od: Picture, colour: int) -> Picture:
    """Absorbance of one colour on every level of a part, float32 (levels, rows, cols)."""
    block = part.block
    pictures = np.zeros((len(block.heights_um), block.rows, block.cols), np.float32)
    whole = block.rows == scene.height_px and block.cols == scene.width_px
    for layer in part.layers:
        rows, cols = layer.od.shape[:2]
        for first in range(0, rows, _CHUNK_ROWS):
            last = min(first + _CHUNK_ROWS, rows)
            top, left = layer.row0 + first, layer.col0
            absorbed = layer.od[first:last, :, colour] * per_od[top : top + last - first, left : left + cols, colour]
            target = pictures[:, top - block.row0 : top - block.row0 + last - first]
            target = target[:, :, left - block.col0 : left - block.col0 + cols]
            if whole:
                sag = _sag(scene, optics, np.arange(top, top + last - first), np.arange(left, left + cols))
                _share_out(absorbed, layer.z_um + sag, block.heights_um, target)
            else:
                target[_nearest(block.heights_um, layer.z_um + _centre_sag(block, scene, optics))] += absorbed
    return pictures


def _share_out(absorbed: Picture, height_um: Picture, levels_um: Sequence[float], target: Picture) -> None:
    """Give each pixel's absorbance to the two levels next to its height, in proportion to nearness."""
    if len(levels_um) == 1:
        target[0] += absorbed
        return
    at = (height_um - np.float32(levels_um[0])) / np.float32(levels_um[1] - levels_um[0])
    lowest = max(math.floor(float(at.min()) + 1e-4), 0)
    highest = min(math.ceil(float(at.max()) - 1e-4), len(levels_um) - 1)
    for level in range(lowest, highest + 1):
        nearness = np.maximum(np.float32(1) - np.abs(at - np.float32(level)), np.float32(0))
        nearness *= absorbed
        target[level] += nearness


def _nearest(levels_um: Sequence[float], height_um: float) -> int:
    return min(range(len(levels_um)), key=lambda level: abs(levels_um[level] - height_um))


def _sag(scene: Scene, optics: Optics, rows: NDArray[np.int_], cols: NDArray[np.int_]) -> Picture:
    """Field curvature at scene pixels, µm: 0 in the middle, `curvature_um` at the scene's corners."""
    y = ((rows - (scene.height_px - 1) / 2) ** 2).astype(np.float32)
    x = ((cols - (scene.width_px - 1) / 2) ** 2).astype(np.float32)
    corner = ((scene.height_px - 1) / 2) ** 2 + ((scene.width_px - 1) / 2) ** 2
    return np.asarray((y[:, None] + x[None, :]) * np.float32(optics.curvature_um / corner), dtype=np.float32)


def _centre_sag(block: Block, scene: Scene, optics: Optics) -> float:
    row, col = block.row0 + block.rows // 2, block.col0 + block.cols // 2
    return float(_sag(scene, optics, np.array([row]), np.array([col]))[0, 0])


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
    row0 = (min(layer.row0 for layer in layers) - pad) // 2 * 2
    col0 = (min(layer.col0 for layer in layers) - pad) // 2 * 2
    rows = fast_length(max(layer.row0 + layer.od.shape[0] for layer in layers) + pad - row0)
    cols = fast_length(max(layer.col0 + layer.od.shape[1] for layer in layers) + pad - col0)
    block = Block(row0, col0, rows, cols, scene.um_per_px, ())
    sag = _centre_sag(block, scene, optics)
    heights = sorted({round(layer.z_um + sag, 3) for layer in layers})
    return Part(replace(block, heights_um=tuple(heights)), tuple(layers))
