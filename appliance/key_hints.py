"""What a misspelt settings key was probably meant to be, with units in mind."""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Iterator

from pydantic import BaseModel

Place = tuple[str | int, ...]

# Each unit by its dimension and its size in the dimension's base unit.
_UNITS: dict[str, tuple[str, float]] = {
    "nm": ("length", 1e-9),
    "um": ("length", 1e-6),
    "mm": ("length", 1e-3),
    "cm": ("length", 1e-2),
    "us": ("time", 1e-6),
    "ms": ("time", 1e-3),
    "s": ("time", 1.0),
    "sec": ("time", 1.0),
    "min": ("time", 60.0),
    "kb": ("size", 1e3),
    "mb": ("size", 1e6),
    "gb": ("size", 1e9),
    "um2": ("area", 1e-12),
    "mm2": ("area", 1e-6),
    "db": ("gain", 1.0),
    "px": ("pixels", 1.0),
    "ml": ("volume", 1.0),
}


def hint_for(model: type[BaseModel], place: Place, value: object) -> str:
    """A sentence on the unknown key at `place`: what is wrong, the nearest known key, and its unit.

    model: the root model. place: path of the unknown key. value: what the file gives it.
    """
    key = str(place[-1])
    known = sorted({name for owner in _models_at(model, place[:-1]) for name in owner.model_fields})
    section = ".".join(str(part) for part in place[:-1])
    inside = f" in {section}" if section else ""
    start = f'unknown key "{key}"{inside}'
    unit_twin = _same_stem(key, known)
    if unit_twin:
        return f"{start}; did you mean {unit_twin}?{_unit_remark(key, unit_twin, value)}"
    elsewhere = [path for path in _paths(model) if path.rsplit(".", 1)[-1] == key]
    if elsewhere:
        return f"{start}; did you mean {elsewhere[0]}?"
    near = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.6)
    if near:
        return f"{start}; did you mean {near[0]}?"
    stems = [path for path in _paths(model) if _same_stem(key, [path.rsplit(".", 1)[-1]])]
    if stems:
        twin = stems[0].rsplit(".", 1)[-1]
        return f"{start}; did you mean {stems[0]}?{_unit_remark(key, twin, value)}"
    return f"{start}; known here: {', '.join(known)}."


def text_with_unit(key: str, value: object) -> str:
    """A remark for a number written as text with its unit, e.g. exposure_ms: "4 ms"; empty for anything else."""
    if isinstance(value, str) and re.match(r"^\s*[-+0-9.]+\s*[A-Za-zµ²]+\s*$", value):
        unit = _split(key)[1]
        if unit:
            return f" Write the number alone: the unit ({unit}) is part of the key."
    return ""


def _split(key: str) -> tuple[str, str]:
    stem, _, last = key.rpartition("_")
    return (stem, last) if stem and last.lower() in _UNITS else (key, "")


def _same_stem(key: str, known: list[str]) -> str | None:
    stem = _split(key.lower())[0]
    matches = [name for name in known if _split(name)[1] and _split(name)[0] == stem]
    return matches[0] if matches else None


def _unit_remark(key: str, twin: str, value: object) -> str:
    wrong, right = _split(key.lower())[1], _split(twin)[1]
    remark = f" The unit is part of the key ({right})"
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if wrong and number and _UNITS[wrong][0] == _UNITS[right][0]:
        scaled = float(typing.cast("float", value)) * _UNITS[wrong][1] / _UNITS[right][1]
        return f"{remark}: {value} {wrong} is written {twin}: {scaled:.6g}."
    return f"{remark}."


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)


def _models_at(model: type[BaseModel], place: Place) -> list[type[BaseModel]]:
    owners: list[type[BaseModel]] = [model]
    for part in place:
        fields = [owner.model_fields[part].annotation for owner in owners if part in owner.model_fields]
        # An index, or the tag of a union, names no field: stay with the same models.
        if fields:
            owners = [found for annotation in fields for found in _models_in(annotation)]
    return owners


def _paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, info in model.model_fields.items():
        yield f"{prefix}{name}"
        for inner in _models_in(info.annotation):
            yield from _paths(inner, f"{prefix}{name}.")
