"""What was given back, and what the GPU cannot do, ends in an error that somebody hears."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engines.cuda.errors import CudaError
from engines.cuda.gpu_thread import GpuThread
from engines.cuda.probe import Gpu

from .conftest import Binding
from .nvrtc import FOLDER, cubin

_CHILD = """
import ctypes, sys
from pathlib import Path
from engines.cuda.errors import CudaError
from engines.cuda.{module} import {name}
from tests.gpu.kernels import Kernels

cuda = {name}()
cuda.push()
stream, event, memory = cuda.stream(), cuda.event(), cuda.host_alloc(8)
{before}
try:
    {use}
except CudaError as error:
    print(error.what, flush=True)
"""
_FAULT = """
kernels = Kernels(Path({code!r}).read_bytes(), ["read_nowhere"])
where = ctypes.c_uint64(16), ctypes.c_uint64(memory.device_pointer)
kernels.launch("read_nowhere", stream, (1, 1), (1, 1), *where)
"""


def tried(binding: Binding, before: str, use: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, as the driver may end it or its context be lost; it prints the CudaError of `use`."""
    code = _CHILD.format(module=binding.module, name=binding.name, before=before, use=use)
    order = [sys.executable, "-c", code]
    return subprocess.run(order, cwd=FOLDER.parents[1], capture_output=True, text=True, timeout=60, check=False)


def test_memory_is_not_given_back_twice(gpu: GpuThread) -> None:
    buffer = gpu.run(lambda: gpu.api.host_alloc(4096))
    gpu.run(lambda: gpu.api.host_free(buffer))
    with pytest.raises(CudaError, match="refused"):
        gpu.run(lambda: gpu.api.host_free(buffer))


@pytest.mark.parametrize(
    ("before", "use"),
    [
        ("cuda.stream_free(stream)", "cuda.stream_wait(stream)"),
        ("cuda.stream_free(stream)", "cuda.record(event, stream)"),
        ("cuda.event_free(event)", "cuda.is_done(event)"),
    ],
)
def test_a_stream_or_event_that_was_given_back_is_refused(binding: Binding, before: str, use: str) -> None:
    """NVIDIA promises nothing for these handles; where the driver ends the process, the test says so."""
    child = tried(binding, before, use)
    if child.returncode < 0 and not child.stdout:
        pytest.xfail(f"{use}: the driver ended the process by {signal.Signals(-child.returncode).name}")
    assert re.search("refused|There is no stream or event", child.stdout), child.stderr


@pytest.mark.parametrize(
    "use",
    ["cuda.stream_wait(stream)", "cuda.record(event, stream)\n    while not cuda.is_done(event): pass"],
    ids=["wait", "poll"],
)
def test_a_fault_on_the_gpu_reaches_who_waits_for_it(binding: Binding, gpu_here: Gpu, use: str, tmp_path: Path) -> None:
    code = tmp_path / "mapped.cubin"
    code.write_bytes(cubin("mapped.cu", gpu_here.compute_capability))
    child = tried(binding, _FAULT.format(code=str(code)), use)
    assert re.search("(?i)illegal", child.stdout), child.stderr
