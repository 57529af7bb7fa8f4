"""CUDA by whichever binding is installed: pycuda, or NVIDIA's own."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from engines.cuda.api import CudaApi
from engines.cuda.errors import CudaError

_BINDINGS = {"pycuda_api": "PycudaCuda", "bindings_api": "BindingsCuda"}


def open_cuda(ordinal: int = 0) -> CudaApi:
    """The GPU of this number. Raises CudaError where neither binding is installed, or the driver refuses."""
    missing = []
    for module, name in _BINDINGS.items():
        try:
            return cast("CudaApi", getattr(import_module(f"engines.cuda.{module}"), name)(ordinal))
        except ImportError as error:
            missing.append(str(error))
    raise CudaError(
        f"No Python binding of CUDA is installed ({'; '.join(missing)}).",
        remedy="Install the application with its extra `jetson` (pycuda) or `cuda` (cuda-bindings).",
    )
