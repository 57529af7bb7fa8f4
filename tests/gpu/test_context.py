"""The primary context belongs to the one thread that pushed it."""

from __future__ import annotations

import ctypes

import pytest

from engines.cuda.api import CudaApi
from engines.cuda.errors import CudaError
from engines.cuda.gpu_thread import GpuThread
from engines.cuda.libcuda import Libcuda

_NO_CONTEXT = r"(?i)invalid.(device.)?context"


def current() -> int:
    """The context of the calling thread, 0 where there is none."""
    context = ctypes.c_void_p()
    assert Libcuda().status("cuCtxGetCurrent", ctypes.byref(context)) == 0
    return context.value or 0


def test_the_context_is_current_in_the_gpu_thread_alone(gpu: GpuThread) -> None:
    assert gpu.run(current) != 0
    assert current() == 0


@pytest.mark.parametrize("call", ["stream", "event", "host_alloc"])
def test_what_another_thread_asks_for_is_refused_and_the_gpu_thread_goes_on(gpu: GpuThread, call: str) -> None:
    asked = {"host_alloc": lambda: gpu.api.host_alloc(8)}.get(call, getattr(gpu.api, call))
    with pytest.raises(CudaError, match=_NO_CONTEXT):
        asked()
    stream = gpu.run(gpu.api.stream)
    gpu.run(lambda: gpu.api.stream_wait(stream))
    gpu.run(lambda: gpu.api.stream_free(stream))


def test_what_is_pushed_is_popped_and_can_be_had_again(cuda: CudaApi) -> None:
    for _ in range(3):
        cuda.push()
        assert current() != 0
        cuda.pop()
        assert current() == 0


def test_a_pop_too_many_is_refused(cuda: CudaApi) -> None:
    with pytest.raises(CudaError, match=_NO_CONTEXT):
        cuda.pop()
