"""Whole fields with boxes: objects found, missed and invented, and how well fields with and without rank."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.decode import find_peaks
from engines.errors import EngineError
from engines.evaluate.boxes import Box
from engines.evaluate.pictures import at_scale, files_in, group_of
from engines.evaluate.ranking import figure, ranking, share
from engines.evaluate.target import Target
from engines.metrics import average_precision
from engines.picture_files import read_picture
from engines.training.metrics import Matches, join, match

_FLOOR = 0.02  # peaks below this are no detections, as where the shipped packages are measured


@dataclass(frozen=True)
class FieldFile:
    """A picture, its name relative to the folder of all, its group, and the targets in it."""

    path: Path
    name: str
    group: str
    boxes: tuple[Box, ...]


def find_fields(folder: Path, boxes: Sequence[Box], csv: Path) -> tuple[list[FieldFile], list[str]]:
    """All files below `folder` but `csv`, and the names of pictures that have boxes but are not there.

    A subfolder is a group; of a file directly in `folder` the first number in its name is. Raises EngineError.
    """
    paths = [path for path in files_in(folder) if path.resolve() != csv.resolve()]
    if not paths:
        raise EngineError(f"{folder} holds no pictures.", remedy="Put the fields there as PNG, JPEG or TIFF.")
    by_file: dict[str, list[Box]] = {}
    for box in boxes:
        by_file.setdefault(box.file, []).append(box)
    files = []
    for path in paths:
        name = path.relative_to(folder).as_posix()
        group = group_of(name) if path.parent == folder else f"{path.parent.relative_to(folder).as_posix()}/"
        files.append(FieldFile(path, name, group, tuple(by_file.pop(name, ()))))
    return files, sorted(by_file)


def evaluate_fields(
    target: Target, files: Iterable[FieldFile], missing: Sequence[str], um_per_px: float
) -> dict[str, object]:
    """Figures on fields of `um_per_px`: `ap` over objects, `auroc` over fields. Raises EngineError when none is read.

    A detection finds an object when it lies within half the longer side of its box from the box's centre, or within
    the engine's separation where that is more.
    """
    read: list[FieldFile] = []
    peaks: list[Matches] = []
    highest: list[float] = []
    unreadable = list(missing)
    for file in files:
        picture = read_picture(file.path)
        scaled = None if picture is None else at_scale(picture, um_per_px / target.native_um_per_px)
        if picture is None or scaled is None:
            unreadable.append(file.name)
            continue
        _check_inside(file, picture)
        heat = target.heat(scaled)
        read.append(file)
        highest.append(float(heat.max()))
        peaks.append(_matched(target, heat, file, um_per_px))
    if not read:
        raise EngineError(
            f"None of {len(unreadable)} files is a picture that can be read, as {unreadable[0]}.",
            remedy="Save the fields as PNG, JPEG or TIFF.",
        )
    positive = np.array([bool(file.boxes) for file in read], np.bool_)
    matches = join(peaks)
    missed = int((matches.best == 0.0).sum())
    precision = average_precision(
        np.concatenate([matches.scores, np.zeros(missed)]), np.concatenate([matches.true, np.ones(missed, np.bool_)])
    )
    invented = int((~matches.true & (matches.scores >= target.threshold)).sum())
    return {
        **ranking(np.array(highest), positive, [file.group for file in read], "fields"),
        "ap": figure(precision),
        "objects": int(matches.best.size),
        "unreadable": unreadable,
        "unreadable_n": len(unreadable),
        "threshold": target.threshold,
        "sensitivity": share(matches.best >= target.threshold),
        "false_per_field": figure(invented / len(read)),
        "um_per_px": um_per_px,
    }


def _matched(target: Target, heat: NDArray[np.float32], file: FieldFile, um_per_px: float) -> Matches:
    """Detections against boxes, in µm."""
    native = target.native_um_per_px
    found = find_peaks(heat, target.stride, target.separation_um / native, _FLOOR)
    places = native * np.stack([found.x_px, found.y_px], axis=1).astype(np.float64)
    centres = np.array([(b.x + b.width / 2, b.y + b.height / 2) for b in file.boxes], np.float64).reshape(-1, 2)
    longer = np.array([max(b.width, b.height) for b in file.boxes], np.float64)
    reach = np.maximum(target.separation_um, um_per_px * longer / 2)
    return match(found.probability.astype(np.float64), places, um_per_px * centres, reach)


def _check_inside(file: FieldFile, picture: NDArray[np.uint8]) -> None:
    height, width = picture.shape[:2]
    for box in file.boxes:
        if not (0 <= box.x + box.width / 2 <= width and 0 <= box.y + box.height / 2 <= height):
            raise EngineError(
                f"Boxes, line {box.line}: the box's centre lies outside {file.name}, which is {width} x {height} px.",
                remedy="Give x, y, width and height in pixels of the picture, x and y of the left top corner.",
            )
