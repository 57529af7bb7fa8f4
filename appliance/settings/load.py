"""From a file and command-line overrides to settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from appliance.errors import SettingsError
from appliance.settings.model import Settings
from appliance.yaml_file import Document, Place, parse_yaml, read_yaml
from appliance.yaml_model import build

EXAMPLE = Path(__file__).with_name("example.yaml")
"""A commented file to start from; it says the same as the defaults where it says anything."""


def load_settings(path: Path | None = None, overrides: Sequence[str] = ()) -> Settings:
    """Read, validate and freeze the settings.

    path: YAML file; None: the defaults, which fit the twin. overrides: "section.key=value" each, the value in YAML;
    later ones win, and all win over the file. Relative paths count from the working directory.
    Raises SettingsError naming file, line, key, what is wrong and the nearest known key.
    """
    document = read_yaml(Path(path)) if path is not None else Document("settings", {}, {})
    for override in overrides:
        document = _with_override(document, override)
    return build(Settings, document)


def settings_sha256(settings: Settings) -> str:
    """Hash of everything the settings say, defaults included; the same settings always give the same hash."""
    canonical = json.dumps(settings.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _with_override(document: Document, override: str) -> Document:
    label = f"--set {override}"
    key, equals, text = override.partition("=")
    parts = tuple(part.strip() for part in key.split("."))
    if not equals or not all(parts):
        raise SettingsError(
            f"{label}: this is no override.", remedy="Write section.key=value, for example focus.search_um=80."
        )
    value = parse_yaml(f"value: {text.strip()}", label).data["value"]
    places: dict[Place, str] = {known: at for known, at in document.places.items() if known[: len(parts)] != parts}
    places[parts] = label
    return replace(document, data=_put(document.data, parts, value, label), places=places)


def _put(data: dict[str, object], parts: tuple[str, ...], value: object, label: str) -> dict[str, object]:
    if len(parts) == 1:
        return {**data, parts[0]: value}
    inner = data.get(parts[0])
    if inner is not None and not isinstance(inner, dict):
        raise SettingsError(f"{label}: {parts[0]} is no section.", remedy="Write section.key=value.")
    return {**data, parts[0]: _put(cast("dict[str, object]", inner or {}), parts[1:], value, label)}
