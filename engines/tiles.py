"""Networks of one input size on frames of any size: cut the frame into tiles, put the answers together as one map."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.package import Tiling

Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""uint8 RGB tile (height_px, width_px, 3) → (labels, rows, columns)."""


def tiled_maps(run: Run, image: NDArray[np.uint8], tiling: Tiling, stride: int) -> NDArray[np.float32]:
    """Maps (labels, ceil(H / stride), ceil(W / stride)) of `image` (H, W, 3); cell i lies on pixel i * stride.

    "map": each tile gives a map at `stride`; where tiles overlap, the outer `overlap_px` of each is dropped.
    "field": each tile gives one answer, which stands in the cell at its centre; near the border of the frame it is
    that of the nearest whole tile. A frame smaller than a tile is continued by its border pixels.
    """
    height, width = image.shape[:2]
    padded = _continued(image, tiling, stride)
    if tiling.answers == "field":
        maps = _fields(run, padded, tiling, stride, (height, width))
    else:
        maps = _maps(run, padded, tiling, stride)
    return maps[:, : -(-height // stride), : -(-width // stride)]


def tile_count(height: int, width: int, tiling: Tiling, stride: int) -> int:
    """How often the network runs for one frame of height x width px."""
    if tiling.answers == "field":
        tops = _field_starts(max(height, tiling.height_px), -(-height // stride), tiling.height_px, stride)
        lefts = _field_starts(max(width, tiling.width_px), -(-width // stride), tiling.width_px, stride)
        return len(set(tops)) * len(set(lefts))
    return len(_spans(_up(height, stride), tiling.height_px, tiling.overlap_px, stride)) * len(
        _spans(_up(width, stride), tiling.width_px, tiling.overlap_px, stride)
    )


def _continued(image: NDArray[np.uint8], tiling: Tiling, stride: int) -> NDArray[np.uint8]:
    """At least a tile; for maps also whole cells."""
    grain = stride if tiling.answers == "map" else 1
    down = max(tiling.height_px, _up(image.shape[0], grain)) - image.shape[0]
    right = max(tiling.width_px, _up(image.shape[1], grain)) - image.shape[1]
    return np.asarray(cv2.copyMakeBorder(image, 0, down, 0, right, cv2.BORDER_REPLICATE), np.uint8)


def _up(length: int, stride: int) -> int:
    return -(-length // stride) * stride


def _fields(
    run: Run, padded: NDArray[np.uint8], tiling: Tiling, stride: int, size: tuple[int, int]
) -> NDArray[np.float32]:
    tops = _field_starts(padded.shape[0], -(-size[0] // stride), tiling.height_px, stride)
    lefts = _field_starts(padded.shape[1], -(-size[1] // stride), tiling.width_px, stride)
    answers = {
        (top, left): run(padded[top : top + tiling.height_px, left : left + tiling.width_px])[:, 0, 0]
        for top in dict.fromkeys(tops)
        for left in dict.fromkeys(lefts)
    }
    cells = [[answers[top, left] for left in lefts] for top in tops]
    return np.moveaxis(np.array(cells, np.float32), 2, 0)


def _field_starts(length: int, cells: int, side: int, stride: int) -> list[int]:
    """Where the tile of each cell begins: centred on the cell, moved inwards to lie in the frame."""
    return [min(max(cell * stride - side // 2, 0), length - side) for cell in range(cells)]


def _maps(run: Run, padded: NDArray[np.uint8], tiling: Tiling, stride: int) -> NDArray[np.float32]:
    maps = np.zeros((0, padded.shape[0] // stride, padded.shape[1] // stride), np.float32)
    for top, rows in _spans(padded.shape[0], tiling.height_px, tiling.overlap_px, stride):
        for left, columns in _spans(padded.shape[1], tiling.width_px, tiling.overlap_px, stride):
            answer = run(padded[top : top + tiling.height_px, left : left + tiling.width_px])
            if not maps.shape[0]:
                maps = np.zeros((answer.shape[0], *maps.shape[1:]), np.float32)
            part = answer[:, rows.start - top // stride : rows.stop - top // stride]
            maps[:, rows, columns] = part[:, :, columns.start - left // stride : columns.stop - left // stride]
    return maps


def _spans(length: int, side: int, overlap: int, stride: int) -> list[tuple[int, slice]]:
    """(first pixel of a tile, the cells that are taken from it), in order along one axis."""
    last = max(length, side) - side
    starts = [*range(0, last, side - 2 * overlap), last]
    return [
        (
            start,
            slice(
                (start + (overlap if start else 0)) // stride,
                (start + side - (overlap if start < last else 0)) // stride,
            ),
        )
        for start in starts
    ]
