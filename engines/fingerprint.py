"""What an engine was made of and accepted on: stored beside it, and compared at each start. Edge reference 2.5.

What this machine does not say is null; nothing is guessed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from engines.cuda.probe import Gpu
from engines.package import EnginePackage

Option = str | int
"""Of a builder: a number, or a word."""

_L4T = re.compile(r"#\s*R(\d+)\s+\(release\),\s*REVISION:\s*(\d+(?:\.\d+)*)")
_MODE = re.compile(r"pmode:\s*0*(\d+)")
_MODE_NAME = r"<\s*POWER_MODEL\s+ID={}\s+NAME=(\S+)"

_BINDING = {
    "onnx_sha256": "The network",
    "tensorrt": "TensorRT",
    "gpu": "The GPU",
    "compute_capability": "The GPU's compute capability",
    "cuda_driver": "CUDA of the driver",
    "cuda_runtime": "The CUDA runtime",
    "l4t": "Jetson Linux (L4T)",
    "device_model": "The device",
}


@dataclass(frozen=True)
class Build:
    """How an engine was built: by which TensorRT, with which options, timing cache (its SHA-256) and warnings."""

    tensorrt: str
    options: Mapping[str, Option]
    timing_cache_sha256: str | None
    warnings: Sequence[str]


class Fingerprint(BaseModel):
    """All that an engine depends on.

    signing_key_ids: of the release that the package came with. gpu, compute_capability, cuda_driver: see
    `engines.cuda.probe.Gpu`. power_mode: of nvpmodel, e.g. "2 MAXN_SUPER". acceptance_sha256: of the report's bytes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = Field(alias="schema")
    package: str
    version: str
    onnx_sha256: str
    signing_key_ids: tuple[str, ...]
    tensorrt: str | None
    gpu: str | None
    compute_capability: str | None
    cuda_driver: str | None
    cuda_runtime: str | None
    l4t: str | None
    device_model: str | None
    power_mode: str | None
    builder_options: dict[str, Option]
    timing_cache_sha256: str | None
    build_warnings: tuple[str, ...]
    acceptance_sha256: str | None

    def to_json(self) -> bytes:
        """As it is stored; read again by `model_validate_json`."""
        return self.model_dump_json(by_alias=True, indent=2).encode()


def fingerprint(
    package: EnginePackage,
    *,
    signing_key_ids: Sequence[str],
    gpu: Gpu | None,
    build: Build | None,
    acceptance_report: bytes | None,
    root: Path = Path("/"),
) -> Fingerprint:
    """Of an engine of `package` on this machine.

    gpu, build: None where the CPU runtime reads. root: of the file system that tells of the machine.
    """
    return Fingerprint(
        schema=1,
        package=package.manifest.name,
        version=package.manifest.version,
        onnx_sha256=package.manifest.onnx.sha256,
        signing_key_ids=tuple(signing_key_ids),
        tensorrt=build.tensorrt if build else None,
        gpu=gpu.name if gpu else None,
        compute_capability=gpu.compute_capability if gpu else None,
        cuda_driver=gpu.cuda_driver if gpu else None,
        cuda_runtime=_cuda_runtime(root),
        l4t=_l4t(root),
        device_model=_text(root / "proc/device-tree/model"),
        power_mode=_power_mode(root),
        builder_options=dict(build.options) if build else {},
        timing_cache_sha256=build.timing_cache_sha256 if build else None,
        build_warnings=tuple(build.warnings) if build else (),
        acceptance_sha256=_sha256(acceptance_report),
    )


def differs(old: Fingerprint, new: Fingerprint) -> list[str]:
    """What makes an engine that was built and accepted under `old` unusable under `new`: a sentence each.

    The driver and Jetson Linux count, as nobody has seen the engine pass under others; power mode, warnings and keys do
    not: they change neither the engine nor its answers.
    """
    changes = [(words, getattr(old, name), getattr(new, name)) for name, words in _BINDING.items()]
    before, after = old.builder_options, new.builder_options
    changes += [(f"The builder's {name}", before.get(name), after.get(name)) for name in sorted({*before, *after})]
    return [f"{words} was {_said(was)} and is {_said(now)}." for words, was, now in changes if was != now]


def _said(value: Option | None) -> str:
    return "not known" if value is None else str(value)


def _sha256(data: bytes | None) -> str | None:
    return hashlib.sha256(data).hexdigest() if data else None


def _text(path: Path) -> str | None:
    """Its text without the zero byte that ends those of the device tree; None where it cannot be read, or is empty."""
    try:
        return path.read_bytes().decode("utf-8", "replace").strip("\0 \n") or None
    except OSError:
        return None


def _l4t(root: Path) -> str | None:
    """E.g. "36.4.7" of "# R36 (release), REVISION: 4.7, …"."""
    found = _L4T.match(_text(root / "etc/nv_tegra_release") or "")
    return f"{found[1]}.{found[2]}" if found else None


def _power_mode(root: Path) -> str | None:
    """The mode's number and, where nvpmodel's configuration has it, its name."""
    found = _MODE.search(_text(root / "var/lib/nvpmodel/status") or "")
    if not found:
        return None
    name = re.search(_MODE_NAME.format(found[1]), _text(root / "etc/nvpmodel.conf") or "")
    return f"{found[1]} {name[1]}" if name else found[1]


def _cuda_runtime(root: Path) -> str | None:
    """E.g. "12.6.68", as the toolkit that is installed says."""
    try:
        return str(json.loads(_text(root / "usr/local/cuda/version.json") or "")["cuda_cudart"]["version"])
    except (ValueError, KeyError, TypeError):
        return None
