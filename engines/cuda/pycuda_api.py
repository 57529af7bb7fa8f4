"""CUDA through pycuda, which the user chose; it has no graphs, so those go to the driver itself by ctypes.

Never run on a GPU. pycuda 2026.1, built with the headers of CUDA 13.0, was run over a driver that stands in; the tests
do so with a fake that has only its names. Importing this raises ImportError where pycuda is not installed or finds no
libcuda; `engines.cuda.probe` says why.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pycuda.driver as cuda
from numpy.typing import NDArray

from engines.cuda.api import HostBuffer
from engines.cuda.errors import CudaError
from engines.cuda.libcuda import LIBRARY, Libcuda

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING
_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
_NO_GPU = "Check the driver with nvidia-smi (on a Jetson: that /dev/nvmap and /dev/dri are open to this user)."
_RESTART = "Restart the scanner; the slide goes on at the next field. If it happens again, send the log to the maker."


class _Pinned:
    """Pinned, mapped host memory: pycuda's array, whose base is the allocation."""

    def __init__(self, array: NDArray[np.uint8], device: int) -> None:
        self._array = array
        self._device = device

    @property
    def array(self) -> NDArray[np.uint8]:
        return self._array

    @property
    def device_pointer(self) -> int:
        return self._device


class PycudaCuda:
    """Implements `engines.cuda.api.CudaApi` on one GPU. Raises CudaError where there is no such GPU.

    pycuda frees streams and events when their objects go, and reports what fails then on standard error only. So these
    objects live here and in no other name; a traceback that kept one would keep it from being freed.
    """

    def __init__(self, ordinal: int = 0, library: str = LIBRARY) -> None:
        with _told(_NO_GPU):
            cuda.init()
            self._device = cuda.Device(ordinal)
        self._driver = Libcuda(library)
        self._context: Any = None
        self._streams: dict[int, Any] = {}
        self._events: dict[int, Any] = {}
        self._numbers = itertools.count(1)

    def push(self) -> None:
        """Make the primary context current in this thread; it is retained first."""
        with _told(_NO_GPU):
            context = self._device.retain_primary_context()
            context.push()
        self._context = context

    def pop(self) -> None:
        """Undo `push`; the primary context is released."""
        # Not by pycuda's pop: the detach that must follow would push the context once more, and nobody pops that.
        self._call("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))
        with _told():
            self._context.detach()

    def host_alloc(self, size: int) -> _Pinned:
        """Pinned, mapped host memory of so many bytes."""
        flags = cuda.host_alloc_flags.DEVICEMAP | cuda.host_alloc_flags.PORTABLE
        with _told():
            array = cuda.pagelocked_empty(size, np.uint8, mem_flags=flags)
            try:
                return _Pinned(array, int(array.base.get_device_pointer()))
            except cuda.Error:
                array.base.free()
                raise

    def host_free(self, buffer: HostBuffer) -> None:
        """Give it back; its array must not be touched again."""
        allocation: Any = buffer.array.base
        with _told():
            allocation.free()

    def stream(self) -> int:
        """A new stream that does not wait for the default one."""
        with _told():
            stream = cuda.Stream(_NON_BLOCKING)
        handle = int(stream.handle)
        self._streams[handle] = stream
        return handle

    def stream_wait(self, stream: int) -> None:
        """Until all that was enqueued there is done."""
        with _told():
            _held(self._streams, stream).synchronize()

    def stream_free(self, stream: int) -> None:
        """Give it back."""
        _held(self._streams, stream)
        del self._streams[stream]

    def event(self) -> int:
        """A new event, without timing."""
        number = next(self._numbers)  # pycuda does not say an event's handle
        with _told():
            self._events[number] = cuda.Event(cuda.event_flags.DISABLE_TIMING)
        return number

    def record(self, event: int, stream: int) -> None:
        """Let the event come after all that has been enqueued on the stream."""
        with _told():
            _held(self._events, event).record(_held(self._streams, stream))

    def is_done(self, event: int) -> bool:
        """Whether the GPU has passed the event since it was recorded last."""
        with _told():
            return bool(_held(self._events, event).query())

    def event_free(self, event: int) -> None:
        """Give it back."""
        _held(self._events, event)
        del self._events[event]

    def capture(self, stream: int) -> None:
        """From now on enqueue into a graph instead of running."""
        self._call("cuStreamBeginCapture_v2", ctypes.c_void_p(stream), _THREAD_LOCAL)

    def captured(self, stream: int) -> int:
        """The graph of all that was enqueued since `capture`, ready to launch."""
        graph, executable = ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuStreamEndCapture", ctypes.c_void_p(stream), ctypes.byref(graph))
        try:
            self._call("cuGraphInstantiateWithFlags", ctypes.byref(executable), graph, ctypes.c_ulonglong(0))
        finally:
            self._call("cuGraphDestroy", graph)
        return executable.value or 0

    def launch(self, graph: int, stream: int) -> None:
        """Enqueue a whole graph."""
        self._call("cuGraphLaunch", ctypes.c_void_p(graph), ctypes.c_void_p(stream))

    def graph_free(self, graph: int) -> None:
        """Give it back."""
        self._call("cuGraphExecDestroy", ctypes.c_void_p(graph))

    def _call(self, name: str, *arguments: object) -> None:
        status = self._driver.status(name, *arguments)
        if status:
            raise CudaError(f"The CUDA driver refused {name}: {self._driver.name(status)}.", remedy=_RESTART)


def _held(things: dict[int, Any], handle: int) -> Any:  # noqa: ANN401 - pycuda has no types
    if handle not in things:
        raise CudaError(f"There is no stream or event {handle} (any more).", remedy=_RESTART)
    return things[handle]


@contextmanager
def _told(remedy: str = _RESTART) -> Iterator[None]:
    """Pass on what pycuda raises; it names the driver's call itself."""
    try:
        yield
    except cuda.Error as error:
        raise CudaError(f"The CUDA driver refused a call: {error}.", remedy=remedy) from error
