"""A tiled network answers on any frame what it would answer on the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engines.package import Tiling
from engines.tiles import tile_count, tiled_maps

STRIDE = 4


def _pooled(tile: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The pixel under each cell, as a network at stride 4 would see it; two labels."""
    cells = tile[::STRIDE, ::STRIDE].astype(np.float32)
    return np.stack([cells[..., 0], cells[..., 1]])


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 150),
    width=st.integers(1, 150),
    side=st.sampled_from([(32, 32), (48, 32), (64, 96)]),
    overlap=st.sampled_from([0, 4, 8, 12]),
)
def test_maps_of_tiles_are_the_map_of_the_frame(height: int, width: int, side: tuple[int, int], overlap: int) -> None:
    tiling = Tiling(answers="map", height_px=side[0], width_px=side[1], overlap_px=overlap)
    frame = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    runs = []

    def run(tile: NDArray[np.uint8]) -> NDArray[np.float32]:
        assert tile.shape == (*side, 3)
        runs.append(1)
        return _pooled(tile)

    assert np.array_equal(tiled_maps(run, frame, tiling, STRIDE), _pooled(frame))
    assert len(runs) == tile_count(height, width, tiling, STRIDE)


def test_what_a_tile_says_of_its_border_is_dropped_but_at_the_frame_s_own() -> None:
    tiling = Tiling(answers="map", height_px=32, width_px=32, overlap_px=8)

    def run(_: NDArray[np.uint8]) -> NDArray[np.float32]:
        answer = np.zeros((1, 8, 8), np.float32)
        answer[0, [0, -1]] = answer[0, :, [0, -1]] = 1
        return answer

    maps = tiled_maps(run, np.zeros((80, 64, 3), np.uint8), tiling, STRIDE)[0]
    assert maps[1:-1, 1:-1].max() == 0
    assert maps[0].min() == maps[-1].min() == maps[:, 0].min() == maps[:, -1].min() == 1


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 200), width=st.integers(1, 200), step=st.sampled_from([8, 20, 40]))
def test_each_cell_of_a_classifier_is_the_tile_round_it(height: int, width: int, step: int) -> None:
    side = 40
    tiling = Tiling(answers="field", height_px=side, width_px=side)
    rows, columns = np.mgrid[0:height, 0:width]
    frame = np.stack([rows, columns, rows], axis=2).astype(np.uint8)
    runs = []

    def run(tile: NDArray[np.uint8]) -> NDArray[np.float32]:
        assert tile.shape == (side, side, 3)
        runs.append(1)
        return tile[0, 0, :2].astype(np.float32).reshape(2, 1, 1)

    maps = tiled_maps(run, frame, tiling, step)
    assert maps.shape == (2, -(-height // step), -(-width // step))
    assert len(runs) == tile_count(height, width, tiling, step)
    for cell in range(maps.shape[1]):
        wanted = min(max(cell * step - side // 2, 0), max(height, side) - side)
        assert maps[0, cell, 0] == wanted


@pytest.mark.parametrize("overlap", [16, 20])
def test_an_overlap_that_leaves_nothing_is_refused(overlap: int) -> None:
    with pytest.raises(ValueError, match="less than half a tile"):
        Tiling(answers="map", height_px=32, width_px=40, overlap_px=overlap)
