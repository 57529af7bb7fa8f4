"""The driver's own library by ctypes: what is asked before any binding is loaded, and what pycuda leaves out."""

from __future__ import annotations

import ctypes

LIBRARY = "libcuda.so.1"


class Libcuda:
    """The CUDA driver, opened by name or path. Raises OSError where there is none."""

    def __init__(self, library: str = LIBRARY) -> None:
        self._library = ctypes.CDLL(library)

    def status(self, call: str, *arguments: object) -> int:
        """What the driver answers; 0 is success. Raises AttributeError where the library has no such call.

        arguments: ctypes values and references, but for integers of C's `int`.
        """
        return int(getattr(self._library, call)(*arguments))

    def name(self, status: int) -> str:
        """The driver's name of a status with its number, e.g. "CUDA_ERROR_UNKNOWN (999)"."""
        name = ctypes.c_char_p()
        self._library.cuGetErrorName(status, ctypes.byref(name))
        return f"{name.value.decode('ascii')} ({status})" if name.value else f"error {status}"
