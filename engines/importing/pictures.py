"""Calibration pictures of a folder: read when they are needed, one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from engines.calibration import MINIMUM, digest_of
from engines.errors import EngineError
from engines.picture_files import read_picture

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"})
_HELD_BACK_EVERY = 4
_LEAST = MINIMUM + 2
_REMEDY = f"Give a folder with at least {_LEAST} real fields of the assay as PNG, JPEG, TIFF or BMP."


class PictureFiles(Sequence[NDArray[np.uint8]]):
    """uint8 RGB (H, W, 3) pictures in files; only the one that is asked for is in memory."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> NDArray[np.uint8]: ...

    @overload
    def __getitem__(self, index: slice) -> PictureFiles: ...

    def __getitem__(self, index: int | slice) -> NDArray[np.uint8] | PictureFiles:
        if isinstance(index, slice):
            return PictureFiles(self.paths[index])
        picture = read_picture(self.paths[index])
        if picture is None:
            raise EngineError(f"{self.paths[index]} could be read before, and cannot be now.", remedy="Check the disk.")
        return picture


@dataclass(frozen=True)
class Pictures:
    """Different pictures of one folder, every fourth held back. unreadable, repeated: names of files left out."""

    calibration: PictureFiles
    held_back: PictureFiles
    unreadable: tuple[str, ...]
    repeated: tuple[str, ...]


def read_folder(folder: Path) -> Pictures:
    """All pictures below `folder`, in order of their paths.

    Raises EngineError when there is no such folder, or it holds fewer than ten different pictures that can be read.
    """
    if not folder.is_dir():
        raise EngineError(f"There is no folder {folder} with calibration pictures.", remedy=_REMEDY)
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
    if not files:
        raise EngineError(f"{folder} holds no pictures: without real ones there is no quantisation.", remedy=_REMEDY)
    kept: dict[str, Path] = {}
    unreadable: list[str] = []
    repeated: list[str] = []
    for path in files:
        picture = read_picture(path)
        if picture is None:
            unreadable.append(str(path.relative_to(folder)))
        elif kept.setdefault(digest_of(picture), path) is not path:
            repeated.append(str(path.relative_to(folder)))
    if len(kept) < _LEAST:
        bad = f"; unreadable: {_some(unreadable)}" if unreadable else ""
        bad += f"; the same as another: {_some(repeated)}" if repeated else ""
        raise EngineError(
            f"{folder} holds {len(kept)} different pictures that can be read; at least {_LEAST} are needed, of which "
            f"every {_HELD_BACK_EVERY}th is held back for comparing{bad}.",
            remedy=_REMEDY,
        )
    paths = list(kept.values())
    held = paths[_HELD_BACK_EVERY - 1 :: _HELD_BACK_EVERY]
    used = [path for index, path in enumerate(paths) if index % _HELD_BACK_EVERY != _HELD_BACK_EVERY - 1]
    return Pictures(PictureFiles(used), PictureFiles(held), tuple(unreadable), tuple(repeated))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
