"""What the network is taught and judged by where truth is doubtful: out of focus, and between crowded objects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.training.fields import measure
from engines.training.subjects import SEROUS
from engines.training.twin_tiles import NOT_TARGET, UNCERTAIN, Tile, to_sample

MALIGNANT, BENIGN = 0, 1
STRIDE = 8


def _tile(*objects: tuple[int, float, float]) -> Tile:
    """A tile of (label, x, y), each object 40 px wide."""
    return Tile(
        np.zeros((320, 320, 3), np.uint8),
        np.array([label for label, _, _ in objects], np.int64),
        np.array([[x, y, 40.0, 40.0] for _, x, y in objects]).reshape(-1, 4),
        np.zeros(len(objects)),
    )


def _mask(*objects: tuple[int, float, float]) -> NDArray[np.float32]:
    return to_sample(_tile(*objects), [True, False], STRIDE, lambda _: 7.0).mask


def test_where_nothing_is_doubtful_every_answer_counts() -> None:
    assert _mask().all()
    assert _mask((MALIGNANT, 80.0, 80.0), (BENIGN, 240.0, 240.0)).all()


def test_a_blurred_malignant_cell_leaves_both_answers_open_and_a_blurred_benign_one_only_its_own() -> None:
    row, col = 10, 20
    malignant, benign = _mask((UNCERTAIN, 160.0, 80.0)), _mask((NOT_TARGET, 160.0, 80.0))
    assert malignant[:, row, col].tolist() == [0.0, 0.0]
    assert benign[MALIGNANT].all()
    assert benign[BENIGN][row, col] == 0.0
    assert malignant[:, 30, 30].all()
    assert benign[:, 30, 30].all()


def test_touching_objects_leave_open_what_one_of_them_may_be_but_at_their_centres() -> None:
    cells = ((80, 80), (88, 80))  # nearer to each other than two fifths of their size
    both = _mask(*((BENIGN, float(x), float(y)) for x, y in cells))
    assert both[MALIGNANT].all()
    assert both[BENIGN][10, 10] == both[BENIGN][10, 11] == 1.0  # the centres count
    assert both[BENIGN][9, 10] == 0.0
    mixed = _mask((MALIGNANT, 80.0, 80.0), (BENIGN, 88.0, 80.0))
    assert mixed[MALIGNANT][9, 10] == mixed[BENIGN][9, 10] == 0.0


class _Painted:
    """A network whose maps are given."""

    def __init__(self, *places: tuple[int, int]) -> None:
        self._maps = np.zeros((2, 40, 40), np.float32)
        for row, col in places:
            self._maps[MALIGNANT, row, col] = 0.9

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._maps


def test_a_malignant_finding_on_a_blurred_benign_cell_is_false_and_on_a_blurred_malignant_one_is_not() -> None:
    tile = _tile((UNCERTAIN, 80.0, 80.0), (NOT_TARGET, 240.0, 80.0), (BENIGN, 80.0, 240.0))
    measured, _ = measure(_Painted((10, 10), (10, 30), (30, 10)), SEROUS, [tile])
    assert measured.false_count(0.5) == 2
    assert measured.unsure.tolist() == np.float32([0.9]).tolist()
    assert measured.cells == 1
