"""What the network should answer: Gaussian bumps at object centres, and a mask of where the answer is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_CORE_CELLS, _CORE_SIGMAS = 0.75, 0.9


@dataclass(frozen=True)
class Sample:
    """One training tile.

    picture: uint8 RGB (H, W, 3). target: (labels, H/stride, W/stride), 1 at object centres, Gaussian around.
    mask: same shape, 0 where the truth is not known.
    """

    picture: NDArray[np.uint8]
    target: NDArray[np.float32]
    mask: NDArray[np.float32]


def add_bump(target: NDArray[np.float32], x_px: float, y_px: float, stride: int, sigma_px: float) -> None:
    """Raise `target` (h, w) to a Gaussian about (x_px, y_px) that is exactly 1 on the cells at its centre.

    Where exactly an object's centre lies is uncertain (the middle of a curved rod, a cell with its nucleus at the
    edge) and may fall between cells; all cells near it count as centre, so that none is punished for being as right
    as its neighbour.
    """
    rows, cols = target.shape
    col, row = x_px / stride, y_px / stride
    reach = 3 * sigma_px / stride
    top, bottom = max(0, int(np.ceil(row - reach))), min(rows, int(np.floor(row + reach)) + 1)
    left, right = max(0, int(np.ceil(col - reach))), min(cols, int(np.floor(col + reach)) + 1)
    if top >= bottom or left >= right:
        return
    dy = np.arange(top, bottom) * stride - y_px
    dx = np.arange(left, right) * stride - x_px
    distance = np.hypot(dy[:, None], dx[None, :])
    core = max(_CORE_CELLS * stride, _CORE_SIGMAS * sigma_px)
    bump = np.where(distance <= core, 1.0, np.exp(-(distance**2) / (2 * sigma_px**2))).astype(np.float32)
    area = target[top:bottom, left:right]
    np.maximum(area, bump, out=area)
