"""Crops with the target and crops without it: which is which, the score of each, and how well they rank."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.evaluate.pictures import at_scale, files_in, group_of
from engines.evaluate.ranking import ranking, share
from engines.evaluate.target import Target
from engines.picture_files import read_picture

WITHOUT = ("non", "neg", "no_", "no-", "not", "without", "benign", "background", "normal", "healthy")
"""Beginnings of the name of the subfolder with crops that lack the target; "no" and "0" alone mean the same."""
_REMEDY = (
    "Make exactly two subfolders: one of crops with the target, as afb, and one without, whose name begins with "
    f"{', '.join(WITHOUT)}, as non_afb."
)
_SMALLEST_PX = 64
_MARGIN_PX = 16


@dataclass(frozen=True)
class CropFile:
    """A file, its name relative to the folder of all, its group, and whether it shows the target."""

    path: Path
    name: str
    group: str
    positive: bool


def find_crops(folder: Path) -> list[CropFile]:
    """All files of the two subfolders of `folder`. Raises EngineError when they are not two, or not told apart."""
    if not folder.is_dir():
        raise EngineError(f"There is no folder {folder} with crops.", remedy=_REMEDY)
    subfolders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    names = ", ".join(path.name for path in subfolders) or "none"
    if len(subfolders) != 2:
        raise EngineError(f"{folder} has {len(subfolders)} subfolders ({names}), not two.", remedy=_REMEDY)
    lacking = [path for path in subfolders if _lacks(path.name)]
    if len(lacking) != 1:
        said = "both names say" if lacking else "neither name says"
        raise EngineError(f"{folder}: {said} that its crops lack the target ({names}).", remedy=_REMEDY)
    found = [
        CropFile(path, name, group_of(name), sub not in lacking)
        for sub in sorted(subfolders, key=lambda sub: sub in lacking)
        for path in files_in(sub)
        for name in [path.relative_to(folder).as_posix()]
    ]
    if not found:
        raise EngineError(f"The subfolders of {folder} ({names}) are empty.", remedy="Put the crops there.")
    return found


def crop_score(target: Target, crop: NDArray[np.uint8], *, centred: bool) -> float:
    """Highest target probability in a crop (h, w, 3) at the network's scale, mirrored outward beyond its border.

    centred: only within a cell of its centre, as on the cards of the shipped packages.
    """
    height, width = crop.shape[:2]
    grain = 2 * target.stride
    side = -(-max(_SMALLEST_PX, max(height, width) + 2 * _MARGIN_PX) // grain) * grain
    top, left = side // 2 - height // 2, side // 2 - width // 2
    canvas = cv2.copyMakeBorder(
        crop, top, side - top - height, left, side - left - width, cv2.BORDER_REFLECT_101
    )  # the crop's centre lies on a cell's
    heat = target.heat(np.asarray(canvas, np.uint8))
    middle = side // 2 // target.stride
    rows = columns = (middle - 1, middle + 2)
    if not centred:
        rows = (-(-top // target.stride), max(middle, (top + height - 1) // target.stride) + 1)
        columns = (-(-left // target.stride), max(middle, (left + width - 1) // target.stride) + 1)
    return float(heat[slice(*rows), slice(*columns)].max())


def evaluate_crops(
    target: Target, files: Iterable[CropFile], um_per_px: float, *, centred: bool = False
) -> dict[str, object]:
    """Figures on crops of `um_per_px`; files that are no pictures are listed. Raises EngineError when all are such."""
    scores: list[float] = []
    read: list[CropFile] = []
    unreadable: list[str] = []
    for file in files:
        picture = read_picture(file.path)
        crop = None if picture is None else at_scale(picture, um_per_px / target.native_um_per_px)
        if crop is None:
            unreadable.append(file.name)
            continue
        scores.append(crop_score(target, crop, centred=centred))
        read.append(file)
    if not read:
        raise EngineError(
            f"None of {len(unreadable)} files is a picture that can be read, as {unreadable[0]}.",
            remedy="Save the crops as PNG, JPEG or TIFF.",
        )
    all_scores = np.array(scores)
    positive = np.array([file.positive for file in read], np.bool_)
    return {
        **ranking(all_scores, positive, [file.group for file in read], "crops"),
        "unreadable": unreadable,
        "unreadable_n": len(unreadable),
        "threshold": target.threshold,
        "sensitivity": share(all_scores[positive] >= target.threshold),
        "specificity": share(all_scores[~positive] < target.threshold),
        "um_per_px": um_per_px,
    }


def _lacks(name: str) -> bool:
    lowered = name.lower()
    return lowered.startswith(WITHOUT) or lowered in {"no", "0"}
