"""A network that answers to red, painted pictures for it, and a folder to put them in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.evaluate.target import Target

STRIDE = 4


def redness(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Two maps: red minus green at every fourth pixel, and a benign one that is always sure."""
    blurred = cv2.blur(picture.astype(np.float32), (5, 5), borderType=cv2.BORDER_REFLECT_101)
    red = np.clip((blurred[::STRIDE, ::STRIDE, 0] - blurred[::STRIDE, ::STRIDE, 1]) / 255, 0, 1)
    return np.stack([np.ones_like(red), red])


RED = Target(
    maps=redness, channels=(1,), names=("red",), others=("benign",), native_um_per_px=0.2, stride=STRIDE,
    separation_um=2.0, threshold=0.5,
)  # fmt: skip


def paint(side: int, spots: Sequence[tuple[int, int, int]]) -> NDArray[np.uint8]:
    """A grey picture with red spots of 12 px: (x, y, how red) of the centres."""
    picture = np.full((side, side, 3), 200, np.uint8)
    for x, y, red in spots:
        picture[y - 6 : y + 6, x - 6 : x + 6] = (red, 0, 0)
    return picture


def save(path: Path, picture: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture[:, :, ::-1])
