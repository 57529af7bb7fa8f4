"""CUDA C compiled by NVRTC, which needs no GPU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
_COMPILE = """
import sys
from cuda.bindings import nvrtc

source, architecture = sys.argv[1:]
program = nvrtc.nvrtcCreateProgram(open(source, "rb").read(), source.encode(), 0, [], [])[1]
(status,) = nvrtc.nvrtcCompileProgram(program, 1, [b"--gpu-architecture=" + architecture.encode()])
log = b" " * nvrtc.nvrtcGetProgramLogSize(program)[1]
nvrtc.nvrtcGetProgramLog(program, log)
sys.stderr.write(log.decode().strip("\\0"))
if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
    sys.exit(status.name)
code = b" " * nvrtc.nvrtcGetCUBINSize(program)[1]
nvrtc.nvrtcGetCUBIN(program, code)
sys.stdout.buffer.write(code)
"""


def cubin(source: str, compute_capability: str) -> bytes:
    """Machine code of a file beside this one, for GPUs like "8.7". Skips the test where there is no NVRTC.

    Not PTX: a driver older than the compiler refuses that. In a process of its own: NVRTC asks the driver, and crashes
    where another test's stand-in goes by its name. Raises AssertionError with what the compiler says, warnings too.
    """
    pathfinder = pytest.importorskip("cuda.pathfinder", reason="cuda-bindings has no wheel for this machine")
    try:
        pathfinder.load_nvidia_dynamic_lib("nvrtc")
    except RuntimeError:
        pytest.skip("there is no NVRTC here; `make test-gpu` installs it")
    order = [sys.executable, "-c", _COMPILE, str(FOLDER / source), f"sm_{compute_capability.replace('.', '')}"]
    compiled = subprocess.run(order, capture_output=True, check=False)
    said = compiled.stderr.decode()
    assert (compiled.returncode, said) == (0, ""), said
    return compiled.stdout
