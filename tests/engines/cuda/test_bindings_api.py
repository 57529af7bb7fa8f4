"""NVIDIA's own binding over a driver that stands in: every call is one it takes, every status is looked at."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.cuda.errors import CudaError
from engines.cuda.gpu_thread import GpuThread

from .calls import CALLS
from .stand_in import StandIn

pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings has no wheel for this machine")
if Path("/dev/nvidiactl").exists() or Path("/dev/nvmap").exists():
    pytest.skip("a real GPU is here: make test-gpu runs these calls on it", allow_module_level=True)

from engines.cuda.bindings_api import BindingsCuda


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> StandIn:
    return StandIn(tmp_path_factory.mktemp("cuda"))


@pytest.fixture
def driver(library: StandIn) -> Iterator[StandIn]:
    yield library
    library.fail()
    library.devices(1)
    assert (library.live(), library.depth) == ({}, 0)


def test_all_calls_are_such_as_the_driver_takes_and_all_is_given_back(driver: StandIn) -> None:
    cuda = BindingsCuda()
    gpu = GpuThread(cuda)

    def work() -> tuple[list[bool], dict[str, int]]:
        buffer = cuda.host_alloc(1_000)
        buffer.array[:] = np.arange(1_000, dtype=np.uint8)
        assert buffer.device_pointer != 0
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
    assert driver.depth == 1
    gpu.close()


def test_what_was_given_back_is_refused_by_the_driver(driver: StandIn) -> None:
    cuda = BindingsCuda()
    cuda.push()
    stream = cuda.stream()
    cuda.stream_free(stream)
    with pytest.raises(CudaError, match=r"cuStreamSynchronize: CUDA_ERROR_INVALID_HANDLE \(400\)"):
        cuda.stream_wait(stream)
    cuda.pop()


@pytest.mark.parametrize("call", CALLS)
def test_every_refusal_is_an_error_that_names_the_call_and_nothing_is_lost(driver: StandIn, call: str) -> None:
    cuda = BindingsCuda()
    cuda.push()
    stream, event = cuda.stream(), cuda.event()
    driver.fail(call)
    with pytest.raises(CudaError, match=rf"refused {call}: \w+ \(999\)"):
        CALLS[call](cuda, stream, event)
    driver.fail()
    cuda.event_free(event)
    cuda.stream_free(stream)
    cuda.pop()


def test_without_a_gpu_it_says_so_at_once(driver: StandIn) -> None:
    driver.devices(0)
    with pytest.raises(CudaError, match=r"CUDA_ERROR_NO_DEVICE.*nvidia-smi"):
        BindingsCuda()
    driver.devices(1)
    with pytest.raises(CudaError, match="cuDeviceGet"):
        BindingsCuda(ordinal=3)


def test_without_a_context_nothing_is_had(driver: StandIn) -> None:
    cuda = BindingsCuda()
    with pytest.raises(CudaError, match="CUDA_ERROR_INVALID_CONTEXT"):
        cuda.host_alloc(8)


def test_a_process_without_a_driver_says_what_to_do(tmp_path: Path) -> None:
    """In a process of its own, as this one has the driver that stands in."""
    code = "from engines.cuda.bindings_api import BindingsCuda; BindingsCuda()"
    told = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=told)
    assert done.returncode == 1
    assert "CudaError" in done.stderr
    assert "nvidia-smi" in done.stderr
