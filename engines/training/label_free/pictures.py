"""A folder of fields from negative slides: which pictures, of which slide, and which cannot be read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.picture_files import read_picture

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff"})
SMALLEST_PX = 448
_TRAILING_NUMBER = re.compile(r"[\s_.-]*(?:field|f|img|image)?[\s_.-]*\d+$", re.IGNORECASE)


@dataclass(frozen=True)
class FieldFile:
    """One picture and the slide it belongs to."""

    path: Path
    slide: str


def find_fields(folder: Path) -> list[FieldFile]:
    """All pictures under `folder`, in order of slide and name.

    A picture in a subfolder belongs to the slide named like the subfolder; one directly in `folder` to the slide its
    name begins with, without the trailing number ("S12_003.png" is of "S12"). Raises EngineError when there is no
    such folder or no picture in it.
    """
    if not folder.is_dir():
        raise EngineError(f"There is no folder {folder}.", remedy="Name the folder that holds the fields.")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not paths:
        raise EngineError(
            f"{folder} holds no picture ({', '.join(sorted(SUFFIXES))}).",
            remedy="Save fields of negative slides there, one subfolder for each slide.",
        )
    return sorted((FieldFile(p, slide_of(p.relative_to(folder))) for p in paths), key=lambda f: (f.slide, f.path))


def slide_of(path: Path) -> str:
    """The slide of a picture at `path`, relative to the folder of all; see `find_fields`."""
    if len(path.parts) > 1:
        return path.parent.as_posix()
    return _TRAILING_NUMBER.sub("", path.stem) or path.stem


def read_field(path: Path) -> NDArray[np.uint8] | None:
    """The picture as uint8 RGB (H, W, 3); None when it cannot be decoded or is smaller than a training window."""
    picture = read_picture(path)
    return None if picture is None or min(picture.shape[:2]) < SMALLEST_PX else picture
