"""What Linux and L4T say of temperatures, cooling and the GPU's load. Edge reference 2.7."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_GPU_LOAD = (
    "sys/devices/gpu.0/load",
    "sys/devices/platform/gpu.0/load",
    "sys/devices/platform/*.gpu/load",
    "sys/devices/platform/bus@0/*.gpu/load",
)
"""JetPack moves it; it counts per mille."""
_OFF_CELSIUS = -100.0
"""A zone whose part of the chip has no power says -256 °C, or cannot be read."""


@dataclass(frozen=True)
class HeatState:
    """At one moment. celsius: by thermal zone. gpu_load: 0 to 1, None where not known. cooling: state by device."""

    at_s: float
    celsius: dict[str, float]
    gpu_load: float | None
    cooling: dict[str, int]


def read_heat(at_s: float, root: Path = Path("/")) -> HeatState:
    """root: of the file system. What cannot be read is left out."""
    thermal = root / "sys/class/thermal"
    celsius = {name: milli / 1000 for name, milli in _named(thermal, "thermal_zone*", "temp").items()}
    return HeatState(
        at_s,
        {name: degrees for name, degrees in celsius.items() if degrees > _OFF_CELSIUS},
        _gpu_load(root),
        _named(thermal, "cooling_device*", "cur_state"),
    )


def _named(thermal: Path, pattern: str, file: str) -> dict[str, int]:
    """By type; the highest where several have the same."""
    found: dict[str, int] = {}
    for folder in sorted(thermal.glob(pattern)):
        name, number = _text(folder / "type"), _number(folder / file)
        if name is not None and number is not None:
            found[name] = max(number, found.get(name, number))
    return found


def _gpu_load(root: Path) -> float | None:
    for pattern in _GPU_LOAD:
        for path in root.glob(pattern):
            number = _number(path)
            if number is not None:
                return number / 1000
    return None


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text is not None and text.lstrip("-").isdigit() else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
