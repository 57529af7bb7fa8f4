"""Stands in for `pycuda.driver` over the driver that stands in; it has only names that pycuda 2026.1 defines.

Each is followed by where: "wrap" is src/wrapper/wrap_cudadrv.cpp, "hpp" src/cpp/cuda.hpp of its source distribution.
What the real one does with contexts and destructors is done here in the same order, so that a stream whose object is
kept by somebody is not freed, and a context that was detached while popped stays pushed.
"""

from __future__ import annotations

import ctypes
import enum
import functools
import sys
import threading
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

_DRIVER: list[ctypes.CDLL] = []
_THREAD = threading.local()
_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


def _install(library: Path) -> None:
    """Let `import pycuda.driver` find this, on the driver in a file."""
    _DRIVER[:] = [ctypes.CDLL(str(library))]
    package = types.ModuleType("pycuda")
    package.driver = sys.modules[__name__]  # type: ignore[attr-defined]
    sys.modules["pycuda"], sys.modules["pycuda.driver"] = package, package.driver


class Error(Exception):  # wrap:688; raised by CUDAPP_CALL_GUARDED, hpp:134
    pass


def _guarded(call: str, *arguments: object) -> None:
    status = getattr(_DRIVER[0], call)(*arguments)
    if status:
        text = ctypes.c_char_p()
        _DRIVER[0].cuGetErrorString(status, ctypes.byref(text))
        raise Error(f"{call.removesuffix('_v2')} failed: {(text.value or b'').decode()}")  # hpp:204


def _native(function: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """Raises as C++ does: with no frame of Python that would keep the object from being freed."""

    @functools.wraps(function)
    def called(*given: _Given.args, **named: _Given.kwargs) -> _Result:
        try:
            return function(*given, **named)
        except Error as error:
            said = str(error)
        del given, named
        raise Error(said)

    return called


def _stack() -> list[Context]:
    if not hasattr(_THREAD, "stack"):
        _THREAD.stack = []
    return _THREAD.stack  # type: ignore[no-any-return]


def init(flags: int = 0) -> None:  # wrap:1144
    _guarded("cuInit", flags)


class event_flags(enum.IntEnum):  # wrap:731  # noqa: N801
    DISABLE_TIMING = 2  # wrap:735


class host_alloc_flags:  # wrap:1081  # noqa: N801
    PORTABLE = 1  # wrap:1082
    DEVICEMAP = 2  # wrap:1083


class Device:  # wrap:1150
    @_native
    def __init__(self, ordinal: int) -> None:  # wrap:1151
        self._handle = ctypes.c_int()
        _guarded("cuDeviceGet", ctypes.byref(self._handle), ordinal)

    @_native
    def retain_primary_context(self) -> Context:  # wrap:1173
        handle = ctypes.c_void_p()
        _guarded("cuDevicePrimaryCtxRetain", ctypes.byref(handle), self._handle)
        return Context(handle, self._handle)


class Context:  # wrap:1183
    def __init__(self, handle: ctypes.c_void_p, device: ctypes.c_int) -> None:
        self._handle, self._device = handle, device
        self._thread = threading.get_ident()
        self._valid = True

    @_native
    def push(self) -> None:  # wrap:1193
        if _stack():
            _guarded("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))
        _guarded("cuCtxPushCurrent_v2", self._handle)
        _stack().append(self)

    @_native
    def detach(self) -> None:  # wrap:1190, hpp:661
        if not self._valid:
            raise Error("context::detach failed: invalid device context - cannot detach from invalid context")
        if _stack() and _stack()[-1] is self:
            _guarded("cuDevicePrimaryCtxRelease_v2", self._device)
            _stack().pop()
        elif self._thread == threading.get_ident():
            _guarded("cuCtxPushCurrent_v2", self._handle)
            _guarded("cuDevicePrimaryCtxRelease_v2", self._device)
        self._valid = False

    def __del__(self) -> None:
        if self._valid:
            self.detach()


class _InContext:
    """hpp:947, context_dependent: what is made in the current context and freed in it."""

    def __init__(self) -> None:
        if not _stack():
            raise Error("explicit_context_dependent failed: invalid device context - no currently active context?")
        self._context = _stack()[-1]

    def _clean_up(self, call: str, handle: ctypes.c_void_p) -> None:
        if not self._context._valid:
            return
        if not _stack() or _stack()[-1] is not self._context:
            warnings.warn(f"{call} in out-of-thread context could not be cleaned up", stacklevel=2)
            return
        _guarded(call, handle)


class Stream(_InContext):  # wrap:1241
    @_native
    def __init__(self, flags: int = 0) -> None:
        super().__init__()
        self._handle = ctypes.c_void_p()
        _guarded("cuStreamCreate", ctypes.byref(self._handle), flags)

    @_native
    def synchronize(self) -> None:  # wrap:1242
        _guarded("cuStreamSynchronize", self._handle)

    @property
    def handle(self) -> int:  # wrap:1247
        return self._handle.value or 0

    def __del__(self) -> None:  # hpp:1012
        if getattr(self, "_handle", None):
            self._clean_up("cuStreamDestroy_v2", self._handle)


class Event(_InContext):  # wrap:1630
    @_native
    def __init__(self, flags: int = 0) -> None:
        super().__init__()
        self._handle = ctypes.c_void_p()
        _guarded("cuEventCreate", ctypes.byref(self._handle), flags)

    @_native
    def record(self, stream: Stream | None = None) -> Event:  # wrap:1631
        _guarded("cuEventRecord", self._handle, stream._handle if stream else None)
        return self

    @_native
    def query(self) -> bool:  # wrap:1634
        if _DRIVER[0].cuEventQuery(self._handle) == 600:
            return False
        _guarded("cuEventQuery", self._handle)
        return True

    def __del__(self) -> None:  # hpp:2134
        if getattr(self, "_handle", None):
            self._clean_up("cuEventDestroy_v2", self._handle)


class PagelockedHostAllocation(_InContext):  # wrap:1401
    @_native
    def __init__(self, size: int, flags: int) -> None:
        super().__init__()
        self._data: ctypes.c_void_p | None = ctypes.c_void_p()
        _guarded("cuMemHostAlloc", ctypes.byref(self._data), ctypes.c_size_t(size), flags)
        self.__array_interface__ = {"data": (self._data.value, False), "shape": (size,), "typestr": "|u1", "version": 3}

    @_native
    def free(self) -> None:  # wrap:1404
        if self._data is None:
            raise Error("pagelocked_host_allocation::free failed: invalid resource handle")
        data, self._data = self._data, None
        self._clean_up("cuMemFreeHost", data)

    @_native
    def get_device_pointer(self) -> int:  # wrap:1393, of its base class
        pointer = ctypes.c_uint64()
        _guarded("cuMemHostGetDevicePointer_v2", ctypes.byref(pointer), self._data, 0)
        return pointer.value

    def __del__(self) -> None:
        if getattr(self, "_data", None):
            self.free()


@_native
def pagelocked_empty(  # wrap:1447
    shape: int, dtype: type[np.uint8], order: str = "C", mem_flags: int = 0
) -> NDArray[np.uint8]:
    assert dtype is np.uint8
    return np.asarray(PagelockedHostAllocation(shape, mem_flags))
