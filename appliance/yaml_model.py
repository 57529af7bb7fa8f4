"""From a YAML document to a frozen, validated model; every mistake is named with its line and its remedy."""

from __future__ import annotations

import json
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from appliance.errors import SettingsError
from appliance.key_hints import hint_for, text_with_unit
from appliance.yaml_file import Document, Place


class StrictModel(BaseModel):
    """Frozen; unknown keys, wrong types, and infinite numbers are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=StrictModel)


def build(model: type[Model], document: Document) -> Model:
    """Validate a document. Raises SettingsError that lists every problem, each with file, line and key."""
    try:
        # By way of JSON: strict validation then takes text for paths and lists for tuples, but never text for numbers.
        return model.model_validate_json(json.dumps(document.data))
    except ValidationError as error:
        problems = tuple(_sentence(model, document, detail) for detail in error.errors(include_url=False))
        raise SettingsError("\n".join(problems), problems=problems) from error


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
    message = detail["msg"]
    unit = text_with_unit(str(place[-1]), detail["input"]) if place else ""
    return f"{where}: {key}: {message[:1].lower()}{message[1:]}, but it says {value}.{unit}"
