"""Picture files of an evaluation: which there are, what they show, which belong together."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

_NUMBER = re.compile(r"\d+")


def files_in(folder: Path) -> list[Path]:
    """All files below `folder` in order of path, without hidden ones."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def group_of(name: str) -> str:
    """What a file shares with others: the first number in its name ("afb/TB_0012_03.jpg": 12), else `name` itself."""
    number = _NUMBER.search(Path(name).stem)
    return str(int(number.group())) if number else name


def at_scale(picture: NDArray[np.uint8], factor: float) -> NDArray[np.uint8] | None:
    """The picture `factor` times as large, untouched at a factor of one; None when nothing would be left of it."""
    if abs(factor - 1) < 1e-3:
        return picture
    if min(picture.shape[:2]) * factor < 2:
        return None
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=how), np.uint8)
