"""Fields of painted cells: pale bodies with dark round nuclei of 7 to 9 µm, sometimes a large coarse one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


def paint_field(
    rng: np.random.Generator, side: int, cells: int, *, large: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """A picture (side, side, 3) and the centres (N, 2) of its nuclei; the first `large` are 17 to 19 µm wide."""
    picture = np.full((side, side, 3), (214, 206, 208), np.uint8)
    spots = rng.permutation(np.stack(np.meshgrid(*[np.arange(45, side - 44, 80)] * 2), axis=-1).reshape(-1, 2))
    places = (spots[:cells] + rng.integers(-8, 9, (min(cells, len(spots)), 2))).astype(np.float64)
    for index, (x, y) in enumerate(places):
        radius = int(rng.integers(29, 33)) if index < large else int(rng.integers(12, 16))
        centre = (round(float(x)), round(float(y)))
        cv2.circle(picture, centre, radius + int(rng.integers(6, 14)), (190, 178, 206), -1, cv2.LINE_AA)
        cv2.circle(picture, centre, radius, (78, 52, 122), -1, cv2.LINE_AA)
    noisy = cv2.GaussianBlur(picture, (0, 0), 1.0) + rng.normal(0, 2, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), places


def write_fields(folder: Path, slides: int, fields: int, *, side: int = 480, cells: int = 16) -> None:
    """`fields` pictures of each of `slides` slides, in subfolders."""
    for slide in range(slides):
        (folder / f"S{slide}").mkdir(parents=True)
        for number in range(fields):
            picture, _ = paint_field(np.random.default_rng([slide, number]), side, cells)
            cv2.imwrite(str(folder / f"S{slide}" / f"{number}.png"), picture[:, :, ::-1])
