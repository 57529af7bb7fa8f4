"""Kernels put on a stream by the driver itself, so that each binding's streams, memory and context are tried alike."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from engines.cuda.errors import CudaError
from engines.cuda.libcuda import Libcuda

Pair = tuple[int, int]


class Kernels:
    """Machine code loaded in the context that is current; used in the thread that has pushed it."""

    def __init__(self, code: bytes, names: Sequence[str]) -> None:
        self._driver = Libcuda()
        self._module = ctypes.c_void_p()
        self._call("cuModuleLoadData", ctypes.byref(self._module), code)
        self._functions = {name: ctypes.c_void_p() for name in names}
        for name, function in self._functions.items():
            self._call("cuModuleGetFunction", ctypes.byref(function), self._module, name.encode())

    def launch(
        self, name: str, stream: int, grid: Pair, block: Pair, *arguments: ctypes.c_int | ctypes.c_uint64
    ) -> None:
        """Enqueue one kernel. grid: blocks in x and y; block: threads in x and y. Raises CudaError."""
        given = (ctypes.c_void_p * len(arguments))(*map(ctypes.addressof, arguments))
        where = (self._functions[name], *grid, 1, *block, 1, 0, ctypes.c_void_p(stream))
        self._call("cuLaunchKernel", *where, given, None)

    def close(self) -> None:
        """Unload the code; nothing of it may be under way."""
        self._call("cuModuleUnload", self._module)

    def _call(self, name: str, *arguments: object) -> None:
        status = self._driver.status(name, *arguments)
        if status:
            raise CudaError(f"The CUDA driver refused {name}: {self._driver.name(status)}.", remedy="See the driver.")
