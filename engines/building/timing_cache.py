"""How long each kernel took on this device, kept for the next build: it makes builds shorter and more alike."""

from __future__ import annotations

import re
from pathlib import Path

from engines.cuda.probe import Gpu
from engines.durable import storing

_UNSAFE = re.compile(r"[^A-Za-z0-9.]+")


def cache_file(folder: Path, gpu: Gpu, tensorrt: str) -> Path:
    """One for each GPU and TensorRT, e.g. "Orin-sm8.7-tensorrt10.3.0.timing"."""
    name = _UNSAFE.sub("-", gpu.name).strip("-.")
    return folder / f"{name}-sm{gpu.compute_capability}-tensorrt{tensorrt}.timing"


def read_cache(path: Path) -> bytes:
    """Empty where there is none yet. Raises NotWritten where it cannot be read."""
    with storing(path):
        return path.read_bytes() if path.exists() else b""
