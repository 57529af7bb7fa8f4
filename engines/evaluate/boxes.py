"""Boxes of target objects in pictures, from a CSV file that a person or an annotation tool wrote."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engines.errors import EngineError

HEADER = ("file", "x", "y", "width", "height")
_REMEDY = (
    "The first line is file,x,y,width,height or file,x,y,width,height,label; each other line is one target object, "
    "x and y its left top corner, all in pixels of the picture."
)


@dataclass(frozen=True)
class Box:
    """One target object, in pixels of the picture `file`: left top corner and size; `line` of the CSV."""

    file: str
    x: float
    y: float
    width: float
    height: float
    line: int


def read_boxes(path: Path, targets: Sequence[str], others: Sequence[str]) -> list[Box]:
    """The targets' boxes: those labelled as one of `others` are left out, those without a label are targets.

    Raises EngineError that names file, line and remedy.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise EngineError(f"There is no {path} with the boxes.", remedy=f"Write it, or name it. {_REMEDY}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError(f"{path} cannot be read as text in UTF-8.", remedy=_REMEDY) from error
    reader = csv.reader(text.splitlines())
    try:
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise EngineError(f"{path}, line {reader.line_num}: {error}.", remedy=_REMEDY) from error
    header = [name.lower() for name in rows[0][1]] if rows else []
    if header not in ([*HEADER], [*HEADER, "label"]):
        raise EngineError(f"{path}, line 1: the header is {','.join(header) or 'missing'}.", remedy=_REMEDY)
    boxes: list[Box] = []
    for line, cells in rows[1:]:
        if not any(cells):
            continue
        place = f"{path}, line {line}"
        if len(cells) != len(header):
            raise EngineError(f"{place}: {len(cells)} values, the header has {len(header)}.", remedy=_REMEDY)
        box = Box(_file(cells[0], place), *_numbers(cells[1:5], place), line)
        label = cells[5] if len(header) > len(HEADER) else ""
        if label and label not in (*targets, *others):
            raise EngineError(
                f"{place}: the engine has no label {label!r}.",
                remedy=f"Use {', '.join((*targets, *others))}, or leave the label empty for a target.",
            )
        if label not in others:
            boxes.append(box)
    return boxes


def _file(text: str, place: str) -> str:
    if not text:
        raise EngineError(f"{place}: no file is named.", remedy=_REMEDY)
    return Path(text.replace("\\", "/")).as_posix()


def _numbers(cells: Sequence[str], place: str) -> tuple[float, float, float, float]:
    values = []
    for name, cell in zip(HEADER[1:], cells, strict=True):
        try:
            value = float(cell)
        except ValueError as error:
            raise EngineError(f"{place}: {name} is {cell!r}, not a number.", remedy=_REMEDY) from error
        if not math.isfinite(value) or (name in {"width", "height"} and value <= 0):
            raise EngineError(f"{place}: {name} is {cell}; it must be {_must(name)}.", remedy=_REMEDY)
        values.append(value)
    x, y, width, height = values
    return x, y, width, height


def _must(name: str) -> str:
    return "above zero" if name in {"width", "height"} else "finite"
