"""What the device is: its JetPack, power mode, versions, device nodes, room."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

from appliance.device_report.nodes import allowed_nodes, look_at, nodes_check, nodes_table
from appliance.device_report.section import DEVICE, Check, Fact, Section
from engines.building.resources import Resources
from engines.fingerprint import Fingerprint

_UNIT = "cytoscan-scanner.service"
_JETPACK = {"36.4": "6.2", "36.5": "6.2", "39.2": "7.2"}
"""By L4T; those that the appliance is made for."""
_MB = 1e6


def device_section(
    told: Fingerprint, free: Resources, app_version: str, *, root: Path = Path("/"), units: Path | None = None
) -> Section:
    """told: what the engine depends on here. free: for a build. root: of the file system that tells of the device.

    units: folder of the scanner's unit where it is not installed.
    """
    jetpack = _jetpack(told.l4t)
    gpu = told.gpu or "none"
    facts = (
        Fact("model", "Device", told.device_model),
        Fact("l4t", "Jetson Linux (L4T)", told.l4t),
        Fact("jetpack", "JetPack", jetpack),
        Fact("power_mode", "Power mode", told.power_mode),
        Fact("gpu", "GPU", gpu if told.compute_capability is None else f"{gpu}, SM {told.compute_capability}"),
        Fact("cuda_driver", "CUDA, driver", told.cuda_driver),
        Fact("cuda_runtime", "CUDA, toolkit", told.cuda_runtime),
        Fact("tensorrt", "TensorRT", _installed("tensorrt")),
        Fact("python", "Python", platform.python_version()),
        Fact("kernel", "Kernel", f"{platform.release()} {platform.machine()}"),
        Fact("app_version", "Application", app_version),
        Fact("disk_free_mb", "Disk, free", round(free.disk_bytes / _MB), "MB"),
        Fact("memory_free_mb", "Memory, free", round(free.memory_bytes / _MB), "MB"),
    )
    checks = (_jetpack_check(told.l4t, jetpack), _power_check(told.power_mode))
    unit = _unit(root, units)
    if unit is None:
        why = f"{_UNIT} is not installed: which device nodes the scanner may use is not known. Run tools/install."
        return Section(DEVICE, (*checks, Check(False, why)), facts)
    nodes = look_at(allowed_nodes(unit), root)
    return Section(DEVICE, (*checks, nodes_check(nodes)), facts, (nodes_table(nodes),))


def _jetpack(l4t: str | None) -> str | None:
    return _JETPACK.get(".".join((l4t or "").split(".")[:2]))


def _jetpack_check(l4t: str | None, jetpack: str | None) -> Check:
    if l4t is None:
        return Check(False, "This is no Jetson, or its JetPack does not say what it is (/etc/nv_tegra_release).")
    if jetpack is None:
        known = ", ".join(sorted(_JETPACK))
        return Check(False, f"L4T {l4t} is none that the appliance is made for ({known}).")
    return Check(True, f"JetPack {jetpack} (L4T {l4t}) is one that the appliance is made for.")


def _power_check(mode: str | None) -> Check:
    if mode is None:
        return Check(False, "The power mode is not known (nvpmodel): no speed below says what this device can do.")
    return Check(True, f"The power mode is {mode}; all speeds below hold for it.")


def _unit(root: Path, units: Path | None) -> str | None:
    """The text of the scanner's unit."""
    for folder in (root / "etc/systemd/system", units):
        if folder is not None and (folder / _UNIT).is_file():
            return (folder / _UNIT).read_text(encoding="utf-8")
    return None


def _installed(package: str) -> str | None:
    """Its version, without importing it: without a driver, TensorRT ends the process."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
