"""CUDA through pycuda, whose names are checked against its source, over a driver that stands in."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest

from engines.cuda.api import CudaApi
from engines.cuda.errors import CudaError
from engines.cuda.gpu_thread import GpuThread

from . import fake_pycuda
from .calls import CALLS
from .stand_in import Kind, StandIn


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> StandIn:
    """Under a name of its own: other tests of this process look for theirs by the real name."""
    return StandIn(tmp_path_factory.mktemp("cuda"), "libcuda-under-pycuda.so")


@pytest.fixture(scope="module")
def module(library: StandIn) -> Iterator[ModuleType]:
    names = ("pycuda", "pycuda.driver", "engines.cuda.pycuda_api")
    before = {name: sys.modules.pop(name, None) for name in names}
    fake_pycuda._install(library.path)
    yield importlib.import_module("engines.cuda.pycuda_api")
    for name, held in before.items():
        sys.modules.pop(name, None)
        if held is not None:
            sys.modules[name] = held


@pytest.fixture
def driver(library: StandIn) -> Iterator[StandIn]:
    yield library
    library.fail()
    library.devices(1)
    assert (library.live(), library.depth) == ({}, 0)


@pytest.fixture
def cuda(driver: StandIn, module: ModuleType) -> CudaApi:
    made: CudaApi = module.PycudaCuda(library=str(driver.path))
    return made


def test_all_calls_are_such_as_the_driver_takes_and_all_is_given_back(cuda: CudaApi, driver: StandIn) -> None:
    gpu = GpuThread(cuda)

    def work() -> tuple[list[bool], dict[str, int]]:
        buffer = cuda.host_alloc(1_000)
        buffer.array[:] = np.arange(1_000, dtype=np.uint8)
        assert buffer.array.ctypes.data == buffer.device_pointer != 0
        stream, event = cuda.stream(), cuda.event()
        cuda.capture(stream)
        graph = cuda.captured(stream)
        cuda.launch(graph, stream)
        cuda.record(event, stream)
        done = [cuda.is_done(event), cuda.is_done(event)]
        cuda.stream_wait(stream)
        held = driver.live()
        cuda.graph_free(graph)
        cuda.event_free(event)
        cuda.stream_free(stream)
        cuda.host_free(buffer)
        return done, held

    done, held = gpu.run(work)
    assert done == [False, True]
    assert held == {"stream": 1, "event": 1, "exec": 1, "buffer": 1, "context": 1}
    assert (driver.live(), driver.depth) == ({"context": 1}, 1)
    gpu.close()


def test_streams_do_not_wait_for_the_default_one_and_memory_is_mapped(cuda: CudaApi, driver: StandIn) -> None:
    cuda.push()
    stream = cuda.stream()
    assert driver._library.stand_in_flags(int(Kind.STREAM)) == 1
    event = cuda.event()
    assert driver._library.stand_in_flags(int(Kind.EVENT)) == 2
    buffer = cuda.host_alloc(8)
    assert driver._library.stand_in_flags(int(Kind.BUFFER)) == 1 | 2
    cuda.host_free(buffer)
    cuda.event_free(event)
    cuda.stream_free(stream)
    cuda.pop()


def test_the_context_can_be_had_again_after_it_was_given_back(cuda: CudaApi, driver: StandIn) -> None:
    for _ in range(3):
        cuda.push()
        assert (driver.live(), driver.depth) == ({"context": 1}, 1)
        cuda.pop()
        assert (driver.live(), driver.depth) == ({}, 0)


def test_what_was_given_back_is_refused(cuda: CudaApi, driver: StandIn) -> None:
    cuda.push()
    stream, event, buffer = cuda.stream(), cuda.event(), cuda.host_alloc(8)
    cuda.event_free(event)
    cuda.stream_free(stream)
    cuda.host_free(buffer)
    for use in (
        lambda: cuda.stream_wait(stream),
        lambda: cuda.stream_free(stream),
        lambda: cuda.is_done(event),
        lambda: cuda.event_free(event),
    ):
        with pytest.raises(CudaError, match="no stream or event"):
            use()
    with pytest.raises(CudaError, match=r"refused cuStreamBeginCapture_v2: CUDA_ERROR_INVALID_HANDLE \(400\)"):
        cuda.capture(stream)
    with pytest.raises(CudaError, match="invalid resource handle"):
        cuda.host_free(buffer)
    cuda.pop()


@pytest.mark.parametrize("call", CALLS)
def test_every_refusal_is_an_error_that_names_the_call_and_nothing_is_lost(
    cuda: CudaApi, driver: StandIn, call: str
) -> None:
    cuda.push()
    stream, event = cuda.stream(), cuda.event()
    driver.fail(call)
    with pytest.raises(
        CudaError, match=rf"refused .*{call}.*unknown error|refused {call}\w*: CUDA_ERROR_UNKNOWN"
    ) as kept:
        CALLS[call](cuda, stream, event)
    assert driver.live() == {"stream": 1, "event": 1, "context": 1}, f"though {kept} is still there"
    driver.fail()
    cuda.event_free(event)
    cuda.stream_free(stream)
    cuda.pop()


def test_without_a_gpu_it_says_so_at_once(driver: StandIn, module: ModuleType) -> None:
    driver.devices(0)
    with pytest.raises(CudaError, match=r"no CUDA-capable device.*nvidia-smi"):
        module.PycudaCuda(library=str(driver.path))
    driver.devices(1)
    with pytest.raises(CudaError, match=r"cuDeviceGet failed: invalid device ordinal.*nvidia-smi"):
        module.PycudaCuda(3, library=str(driver.path))


def test_without_a_context_nothing_is_had(cuda: CudaApi) -> None:
    with pytest.raises(CudaError, match="invalid device context"):
        cuda.host_alloc(8)
    with pytest.raises(CudaError, match=r"cuCtxPopCurrent_v2: CUDA_ERROR_INVALID_CONTEXT \(201\)"):
        cuda.pop()
