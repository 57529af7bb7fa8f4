"""From the name or the file of an assay to its model."""

from __future__ import annotations

import difflib
from pathlib import Path

from appliance.assays.model import Assay
from appliance.errors import SettingsError
from appliance.yaml_file import read_yaml
from appliance.yaml_model import build

_SHIPPED = Path(__file__).parent


def known_assays() -> tuple[str, ...]:
    """Names of the shipped assays."""
    return tuple(sorted(path.stem for path in _SHIPPED.glob("*.yaml")))


def load_assay(name_or_path: str | Path) -> Assay:
    """A shipped assay by name ("serous", "afb"), or a laboratory's own by the path of its YAML file.

    Raises SettingsError: an unknown name lists the known ones; a mistake in a file names file, line and key.
    """
    text = str(name_or_path)
    known = known_assays()
    if text in known:
        return build(Assay, read_yaml(_SHIPPED / f"{text}.yaml"))
    if isinstance(name_or_path, Path) or text.endswith((".yaml", ".yml")) or "/" in text:
        return build(Assay, read_yaml(Path(text)))
    near = difflib.get_close_matches(text.lower(), known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise SettingsError(
        f'There is no assay "{text}".{hint} Known assays: {", ".join(known)}.',
        remedy="Name one of these, or give the path of your own assay file.",
    )
