"""Real Ziehl-Neelsen crops: groups by source picture, and a fixed split.

Layout of the folder: two subfolders, `afb` (crops centred on a bacillus) and `non_afb`; the number in a file's name
is its source picture. Crops of one picture look alike, so they never fall on both sides of a split.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

# The crops' scale is not published. Rods in them have a median length of about 65 px (half height of redness, rods
# cut by the border counted as longer); on pictures of known scale the median is 2.75 µm.
CROP_UM_PER_PX = 2.75 / 65.0
_NUMBER = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Crop:
    """One crop: uint8 RGB at its own scale, its source picture, whether a bacillus is at its centre."""

    picture: NDArray[np.uint8]
    group: int
    positive: bool
    name: str


@dataclass(frozen=True)
class CropSet:
    """Crops of one part of the split, and files that could not be read."""

    crops: tuple[Crop, ...]
    unreadable: tuple[str, ...] = ()


def read_crops(folder: Path) -> CropSet:
    """All crops under `folder`/afb and `folder`/non_afb. Raises FileNotFoundError when a subfolder is missing."""
    crops: list[Crop] = []
    unreadable: list[str] = []
    for sub, positive in (("afb", True), ("non_afb", False)):
        if not (folder / sub).is_dir():
            raise FileNotFoundError(f"{folder / sub} is missing")
        for path in sorted((folder / sub).iterdir()):
            picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
            number = _NUMBER.search(path.stem)
            if picture is None or number is None:
                unreadable.append(path.name)
                continue
            crops.append(Crop(np.ascontiguousarray(picture[:, :, ::-1]), int(number.group()), positive, path.name))
    return CropSet(tuple(crops), tuple(unreadable))


def part_of(group: int) -> str:
    """The part a source picture belongs to, by its number alone: test (a fifth), validation (a tenth), training."""
    if group % 5 == 0:
        return "test"
    return "validation" if group % 10 == 1 else "training"


def select(crops: CropSet, part: str) -> CropSet:
    """The crops of one part."""
    return CropSet(tuple(crop for crop in crops.crops if part_of(crop.group) == part))


def to_native(crop: Crop, native_um_per_px: float, side: int) -> NDArray[np.uint8]:
    """The crop at the network's scale, mirrored outward to (side, side, 3), its centre at pixel side // 2."""
    factor = CROP_UM_PER_PX / native_um_per_px
    small = cv2.resize(crop.picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    half = side // 2
    top, left = half - small.shape[0] // 2, half - small.shape[1] // 2
    bottom, right = side - top - small.shape[0], side - left - small.shape[1]
    return np.asarray(cv2.copyMakeBorder(small, top, bottom, left, right, cv2.BORDER_REFLECT_101), np.uint8)
