"""What the network should answer: Gaussian bumps at object centres, and a mask of where the answer is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
    """Raise `target` (h, w) to a Gaussian with its top of exactly 1 at the cell nearest to (x_px, y_px)."""
    rows, cols = target.shape
    col, row = round(x_px / stride), round(y_px / stride)
    if not (0 <= col < cols and 0 <= row < rows):
        return
    reach = int(np.ceil(3 * sigma_px / stride))
    top, bottom = max(0, row - reach), min(rows, row + reach + 1)
    left, right = max(0, col - reach), min(cols, col + reach + 1)
    dy = (np.arange(top, bottom) - row) * stride
    dx = (np.arange(left, right) - col) * stride
    bump = np.exp(-(dy[:, None] ** 2 + dx[None, :] ** 2) / (2 * sigma_px**2)).astype(np.float32)
    area = target[top:bottom, left:right]
    np.maximum(area, bump, out=area)
