"""Scores of two networks on the same places, for the gates that compare them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from engines.decode import find_peaks
from engines.gates import Scores
from engines.training.fields import Network
from engines.training.subjects import Subject
from engines.training.twin_tiles import UNCERTAIN, Tile

_FLOOR = 0.1  # half of what is ever reported: ranks among what neither network would report mean nothing
_REACH = 1


def paired_scores(fp32: Network, int8: Network, subject: Subject, tiles: Iterable[Tile]) -> Scores:
    """What both networks say of every target, and of every place where either sees one that is not there.

    A place's score is the highest probability within a cell of it. Defocus is in depths of field; that of a place
    without a target is that of the field's other objects, and does not matter to the gates.
    """
    columns: list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]] = []
    for tile in tiles:
        maps = [network.probabilities(tile.picture)[0] for network in (fp32, int8)]
        targets = tile.labels == 0
        places = tile.places[targets, :2]
        nothing = _peaks_on_nothing(maps, tile, subject)
        at = np.concatenate([places, nothing])
        positive = np.arange(len(at)) < len(places)
        defocus = np.zeros(len(at))
        defocus[: len(places)] = tile.off_focus_um[targets] / subject.microscope.depth_um
        columns.append((_at(maps[0], at, subject.stride), _at(maps[1], at, subject.stride), positive, defocus))
    first, second, positive, defocus = (np.concatenate(column) for column in zip(*columns, strict=True))
    return Scores(first, second, positive.astype(np.bool_), defocus)


def _peaks_on_nothing(maps: list[NDArray[np.float32]], tile: Tile, subject: Subject) -> NDArray[np.float64]:
    """Places (N, 2) of peaks of either map that lie on no target and on nothing uncertain; one a place."""
    scale = subject.microscope.um_per_px
    separation = subject.labels[0].separation_um / scale
    peaks = [find_peaks(heat, subject.stride, separation, _FLOOR) for heat in maps]
    found = np.concatenate([np.stack([p.x_px, p.y_px], axis=1) for p in peaks]).astype(np.float64)
    second = np.arange(len(found)) >= peaks[0].x_px.size
    near_first = _distance(found, found[~second]) < separation
    found = found[~(second & near_first)]
    taken = (tile.labels == 0) | (tile.labels == UNCERTAIN)
    reach = (
        max(subject.match_um(max(w, h) * scale) / scale for _, _, w, h in tile.places[taken]) if taken.any() else 0.0
    )
    return found[_distance(found, tile.places[taken, :2]) > reach]


def _distance(places: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """From each place to the nearest of the others; infinite where there is none."""
    if not len(places) or not len(others):
        return np.full(len(places), np.inf)
    return np.asarray(np.hypot(*(places[:, None] - others[None]).transpose(2, 0, 1)).min(axis=1))


def _at(heat: NDArray[np.float32], places: NDArray[np.float64], stride: int) -> NDArray[np.float64]:
    rows, cols = heat.shape
    values = np.zeros(len(places))
    for index, (x, y) in enumerate(places):
        row, col = min(round(y / stride), rows - 1), min(round(x / stride), cols - 1)
        area = heat[max(0, row - _REACH) : row + _REACH + 1, max(0, col - _REACH) : col + _REACH + 1]
        values[index] = float(area.max())
    return values
