"""CUDA through NVIDIA's own binding (cuda-bindings): the driver API as it is, one function for each call."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from cuda.bindings import driver
from numpy.typing import NDArray

from engines.cuda.api import HostBuffer
from engines.cuda.errors import CudaError

_NO_GPU = "Check the driver with nvidia-smi (on a Jetson: that /dev/nvmap and /dev/dri are open to this user)."
_RESTART = "Restart the scanner; the slide goes on at the next field. If it happens again, send the log to the maker."


class _Pinned:
    """Pinned, mapped host memory."""

    def __init__(self, host: int, device: int, size: int) -> None:
        self._device = device
        self._array: NDArray[np.uint8] = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(host))

    @property
    def array(self) -> NDArray[np.uint8]:
        return self._array

    @property
    def device_pointer(self) -> int:
        return self._device


class BindingsCuda:
    """Implements `engines.cuda.api.CudaApi` on one GPU. Raises CudaError where there is no driver or no such GPU."""

    def __init__(self, ordinal: int = 0) -> None:
        try:
            _checked("cuInit", driver.cuInit(0), remedy=_NO_GPU)
        except RuntimeError as error:  # the binding finds no libcuda
            raise CudaError(f"There is no CUDA driver here: {error}", remedy=_NO_GPU) from error
        self._device = _checked("cuDeviceGet", driver.cuDeviceGet(ordinal), remedy=_NO_GPU)

    def push(self) -> None:
        """Make the primary context current in this thread; it is retained first."""
        context = _checked("cuDevicePrimaryCtxRetain", driver.cuDevicePrimaryCtxRetain(self._device), remedy=_NO_GPU)
        _checked("cuCtxPushCurrent", driver.cuCtxPushCurrent(context))

    def pop(self) -> None:
        """Undo `push`; the primary context is released."""
        _checked("cuCtxPopCurrent", driver.cuCtxPopCurrent())
        _checked("cuDevicePrimaryCtxRelease", driver.cuDevicePrimaryCtxRelease(self._device))

    def host_alloc(self, size: int) -> _Pinned:
        """Pinned, mapped host memory of so many bytes."""
        flags = driver.CU_MEMHOSTALLOC_DEVICEMAP | driver.CU_MEMHOSTALLOC_PORTABLE
        host = _checked("cuMemHostAlloc", driver.cuMemHostAlloc(size, flags))
        try:
            device = _checked("cuMemHostGetDevicePointer", driver.cuMemHostGetDevicePointer(host, 0))
        except CudaError:
            driver.cuMemFreeHost(host)
            raise
        return _Pinned(host, device, size)

    def host_free(self, buffer: HostBuffer) -> None:
        """Give it back; its array must not be touched again."""
        _checked("cuMemFreeHost", driver.cuMemFreeHost(buffer.array.ctypes.data))

    def stream(self) -> int:
        """A new stream that does not wait for the default one."""
        flag = driver.CUstream_flags.CU_STREAM_NON_BLOCKING
        return _checked("cuStreamCreate", driver.cuStreamCreate(flag))

    def stream_wait(self, stream: int) -> None:
        """Until all that was enqueued there is done."""
        _checked("cuStreamSynchronize", driver.cuStreamSynchronize(stream))

    def stream_free(self, stream: int) -> None:
        """Give it back."""
        _checked("cuStreamDestroy", driver.cuStreamDestroy(stream))

    def event(self) -> int:
        """A new event, without timing."""
        flag = driver.CUevent_flags.CU_EVENT_DISABLE_TIMING
        return _checked("cuEventCreate", driver.cuEventCreate(flag))

    def record(self, event: int, stream: int) -> None:
        """Let the event come after all that has been enqueued on the stream."""
        _checked("cuEventRecord", driver.cuEventRecord(event, stream))

    def is_done(self, event: int) -> bool:
        """Whether the GPU has passed the event since it was recorded last."""
        answer = driver.cuEventQuery(event)
        if answer[0] == driver.CUresult.CUDA_ERROR_NOT_READY:
            return False
        _checked("cuEventQuery", answer)
        return True

    def event_free(self, event: int) -> None:
        """Give it back."""
        _checked("cuEventDestroy", driver.cuEventDestroy(event))

    def capture(self, stream: int) -> None:
        """From now on enqueue into a graph instead of running."""
        mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        _checked("cuStreamBeginCapture", driver.cuStreamBeginCapture(stream, mode))

    def captured(self, stream: int) -> int:
        """The graph of all that was enqueued since `capture`, ready to launch."""
        graph = _checked("cuStreamEndCapture", driver.cuStreamEndCapture(stream))
        try:
            return _checked("cuGraphInstantiate", driver.cuGraphInstantiate(graph, 0))
        finally:
            _checked("cuGraphDestroy", driver.cuGraphDestroy(graph))

    def launch(self, graph: int, stream: int) -> None:
        """Enqueue a whole graph."""
        _checked("cuGraphLaunch", driver.cuGraphLaunch(graph, stream))

    def graph_free(self, graph: int) -> None:
        """Give it back."""
        _checked("cuGraphExecDestroy", driver.cuGraphExecDestroy(graph))


def _checked(call: str, answer: tuple[Any, ...], *, remedy: str = _RESTART) -> int:
    """The handle that a call gave beside its status, if it gives one. Raises CudaError with the driver's own words."""
    status, *given = answer
    if status != driver.CUresult.CUDA_SUCCESS:
        raise CudaError(f"The CUDA driver refused {call}: {status.name} ({int(status)}).", remedy=remedy)
    return int(given[0]) if given else 0
