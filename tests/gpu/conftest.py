"""The GPU of this machine through each binding, or the reason why a test is skipped.

None of the tests that need a GPU has run on one yet. What was proved without: the kernels compile for sm 8.7 and 9.0
(NVRTC 12.9), and the focus metric's source, built for the processor, computes what the scanner does.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from engines.cuda.api import CudaApi
from engines.cuda.gpu_thread import GpuThread
from engines.cuda.probe import Gpu, probe

from .kernels import Kernels
from .nvrtc import cubin

_PROBE = """
from engines.cuda.probe import GpuAbsent, probe
try:
    probe()
except GpuAbsent as error:
    print(error.what)
"""
_STAND_INS = ("fake_tensorrt", "stand_in")


@dataclass(frozen=True)
class Binding:
    """A module of engines.cuda and its class."""

    module: str
    name: str

    def find(self) -> type[CudaApi]:
        """The class. Raises ImportError where the binding is not installed, or finds no driver."""
        found: type[CudaApi] = getattr(importlib.import_module(f"engines.cuda.{self.module}"), self.name)
        return found


@pytest.fixture(scope="session")
def gpu_here() -> Gpu:
    """The first GPU; skips the test where there is none."""
    # In a process of its own: in this one another test's stand-in may go by the driver's name.
    asked = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, check=True)
    if asked.stdout:
        pytest.skip(asked.stdout.strip())
    if any(name.endswith(_STAND_INS) for name in sys.modules):
        pytest.skip("other tests of this process have stand-ins for driver and TensorRT: `make test-gpu` runs this one")
    return probe()


@pytest.fixture(
    params=[Binding("pycuda_api", "PycudaCuda"), Binding("bindings_api", "BindingsCuda")], ids=lambda one: one.name
)
def binding(request: pytest.FixtureRequest, gpu_here: Gpu) -> Binding:
    chosen: Binding = request.param
    try:
        chosen.find()
    except ImportError as error:
        pytest.skip(f"{chosen.name} cannot be imported: {error}")
    return chosen


@pytest.fixture
def cuda(binding: Binding) -> CudaApi:
    return binding.find()()


@pytest.fixture
def gpu(cuda: CudaApi) -> Iterator[GpuThread]:
    """The one thread that works on it."""
    thread = GpuThread(cuda)
    yield thread
    thread.close()


@pytest.fixture
def load(gpu: GpuThread, gpu_here: Gpu) -> Iterator[Callable[..., Kernels]]:
    """load("mapped.cu", "invert"): kernels of a source, in the thread's context."""
    loaded: list[Kernels] = []

    def _load(source: str, *names: str) -> Kernels:
        code = cubin(source, gpu_here.compute_capability)
        loaded.append(gpu.run(lambda: Kernels(code, names)))
        return loaded[-1]

    yield _load
    for kernels in loaded:
        gpu.run(kernels.close)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests measured, by `record_property("measured", …)`."""
    passed = terminalreporter.getreports("passed")
    told = [(report.nodeid, value) for report in passed for name, value in report.user_properties if name == "measured"]
    for test, sentence in told:
        terminalreporter.write_line(f"{test}: {sentence}")
