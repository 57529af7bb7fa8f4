"""Options of `cytoscan engine import` that need more than their own text."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from pydantic import ValidationError

from appliance.errors import SettingsError
from engines.importing.card import UNMEASURED
from engines.importing.wrap import PRESETS, Normalisation
from engines.package import OperatingPointSpec

_DEFAULT_PRESET = "imagenet"


def package_name(text: str) -> str:
    """A package name from any text: small letters, figures and hyphens."""
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in text.lower()).strip("-")
    if not kept:
        raise SettingsError(f"{text!r} gives no name for a package.", remedy="Give one with --name.")
    return kept


def package_version_from(text: str) -> str:
    """A version of three numbers. Raises SettingsError for any other text."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", text):
        raise SettingsError(f"{text!r} is not a version.", remedy="Give --package-version three numbers, as in 1.0.0.")
    return text


def normalisation_from(preset: str | None, mean: str | None, std: str | None, notes: list[str]) -> Normalisation:
    """How pixels are scaled; without any option the ImageNet way, which is said in `notes`."""
    if mean is not None or std is not None:
        if mean is None or std is None or preset is not None:
            raise SettingsError("--mean and --std go together, without --preset.", remedy="Give both, or a preset.")
        divisor = _three("--std", std)
        if min(divisor) <= 0:
            raise SettingsError(f"--std {std}: each must be above zero.", remedy="Give three, as 0.229,0.224,0.225.")
        red, green, blue = _three("--mean", mean)
        return Normalisation(
            (255 * red, 255 * green, 255 * blue), (255 * divisor[0], 255 * divisor[1], 255 * divisor[2])
        )
    if preset is None:
        notes.append(
            f"Float input is scaled as {_DEFAULT_PRESET} networks want it (--preset, --mean, --std say otherwise)."
        )
    chosen = PRESETS.get(preset or _DEFAULT_PRESET)
    if chosen is None:
        raise SettingsError(f"There is no preset {preset!r}.", remedy=f"Use one of: {', '.join(PRESETS)}.")
    return chosen


def operating_point_from(path: Path | None, threshold: float) -> OperatingPointSpec:
    """The measured operating point in the YAML file `path`, or one that says it is unmeasured."""
    if path is None:
        return OperatingPointSpec(
            name=UNMEASURED, threshold=threshold, sensitivity=0, false_per_mm2=0, false_per_cell=0, source="none"
        )
    try:
        return OperatingPointSpec.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read.", remedy="Name a YAML file with an operating point.") from error
    except yaml.YAMLError as error:
        raise SettingsError(
            f"{path} is not readable as YAML.", remedy="Write it as in a package's manifest."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "operating point"
        raise SettingsError(
            f"{path} is not an operating point: {where}: {first['msg']}.", remedy="Write it as in a package's manifest."
        ) from error


def _three(option: str, text: str) -> tuple[float, float, float]:
    try:
        red, green, blue = (float(part) for part in text.split(","))
    except ValueError as error:
        raise SettingsError(f"{option} {text} is not three numbers by comma.", remedy="As in 0.5,0.5,0.5.") from error
    return red, green, blue
