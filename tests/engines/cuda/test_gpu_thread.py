"""All GPU work is done by one thread that pushed the context and pops it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from engines.cuda.errors import CudaError
from engines.cuda.gpu_thread import GpuThread

from .fake_cuda import FakeCuda


def test_work_of_many_threads_is_done_by_one() -> None:
    cuda = FakeCuda()
    gpu = GpuThread(cuda)
    with ThreadPoolExecutor(8) as pool:
        idents = set(pool.map(lambda _: gpu.run(threading.get_ident), range(64)))
    assert len(idents) == 1
    assert idents.isdisjoint({threading.get_ident()})
    assert cuda.depth == 1
    gpu.close()
    gpu.close()
    assert cuda.depth == 0


def test_what_work_raises_reaches_who_gave_it_and_the_thread_goes_on() -> None:
    gpu = GpuThread(FakeCuda())
    with pytest.raises(ZeroDivisionError):
        gpu.run(lambda: 1 // 0)
    assert gpu.run(lambda: 7) == 7
    gpu.close()


def test_without_a_gpu_there_is_no_thread() -> None:
    with pytest.raises(CudaError, match="No GPU"):
        GpuThread(FakeCuda(fail="push"))


def test_a_closed_thread_takes_no_work() -> None:
    gpu = GpuThread(FakeCuda())
    gpu.close()
    with pytest.raises(CudaError, match="closed"):
        gpu.run(lambda: None)


def test_what_is_still_allocated_when_the_context_goes_is_found() -> None:
    """The fake itself can fail: here nobody has freed the stream."""
    cuda = FakeCuda()
    gpu = GpuThread(cuda)
    stream = gpu.run(cuda.stream)
    with pytest.raises(AssertionError, match="stream"):
        gpu.run(cuda.pop)
    gpu.run(lambda: cuda.stream_free(stream))
    gpu.close()


def test_a_call_from_another_thread_is_found() -> None:
    cuda = FakeCuda()
    gpu = GpuThread(cuda)
    with pytest.raises(AssertionError, match="does not own"):
        cuda.stream()
    gpu.close()
