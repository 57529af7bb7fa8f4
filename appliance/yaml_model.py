"""From a YAML document to a frozen, validated model; every mistake is named with its line and its remedy."""

from __future__ import annotations

import json
import re
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from appliance.errors import SettingsError
from appliance.key_hints import hint_for, text_with_unit
from appliance.yaml_file import Document, Place


class StrictModel(BaseModel):
    """Frozen; unknown keys, wrong types, and infinite numbers are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


_NO_SECTION = ("model_type", "model_attributes_type", "dict_type")

Model = TypeVar("Model", bound=StrictModel)


def build(model: type[Model], document: Document) -> Model:
    """Validate a document. Raises SettingsError that lists every problem, each with file, line and key."""
    try:
        # By way of JSON: strict validation then takes text for paths and lists for tuples, but never text for numbers.
        return model.model_validate_json(json.dumps(document.data), strict=True)
    except ValidationError as error:
        details = sorted(error.errors(include_url=False), key=lambda detail: _line_number(document, detail["loc"]))
        problems = tuple(_sentence(model, document, detail) for detail in details)
        raise SettingsError("\n".join(problems), problems=problems) from error


def _line_number(document: Document, place: Place) -> int:
    found = re.search(r", line (\d+)$", document.where(place))
    return int(found.group(1)) if found else 0


def _sentence(model: type[BaseModel], document: Document, detail: ErrorDetails) -> str:
    place: Place = detail["loc"]
    where = document.where(place)
    kind = detail["type"]
    if kind == "extra_forbidden":
        return f"{where}: {hint_for(model, place, detail['input'])}"
    key = ".".join(str(part) for part in place) or "the file"
    if kind == "missing":
        return f"{where}: {key} is missing."
    if kind == "value_error":
        return f"{where}: {key}: {detail['ctx']['error']}."
    value = json.dumps(detail["input"], ensure_ascii=False)
    value = value if len(value) <= 60 else f"{value[:57]}..."
    message = "a section with keys is expected here" if kind in _NO_SECTION else detail["msg"]
    unit = text_with_unit(str(place[-1]), detail["input"]) if place else ""
    return f"{where}: {key}: {message[:1].lower()}{message[1:]}, but it says {value}.{unit}"
