"""The focus metric as a kernel: the arithmetic of `measure`, on a frame where the camera wrote it."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import time
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.scan.focus.measure import measure
from engines.cuda.gpu_thread import GpuThread

from ..appliance.scan.painted import frame
from .graph_slot import GraphSlot
from .kernels import Kernels
from .nvrtc import FOLDER, cubin

_BLOCK_PX = 32
_FRAMES = 100
Pixels = NDArray[np.uint8]
Energy = NDArray[np.float32]


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)


def stripes(height: int, width: int) -> Pixels:
    """The largest differences there are, along rows and columns: greens four pixels apart are 0 and 255."""
    y, x = np.indices((height, width)) // 4 % 2
    return np.where(y ^ x, 255, 0).astype(np.uint8)


def slope(height: int, width: int) -> Pixels:
    return (np.add.outer(np.arange(height), 2 * np.arange(width)) % 256).astype(np.uint8)


PICTURES = {
    "noise": noise(160, 224),
    "the smallest": noise(64, 64),
    "odd rims": noise(171, 205),
    "extremes": stripes(96, 128),
    "slope": slope(128, 96),
    "nothing": np.full((96, 96), 200, np.uint8),
}


@pytest.fixture(scope="module")
def on_host(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Pixels], Energy]:
    """The kernel's source built for the processor."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    library = tmp_path_factory.mktemp("brenner") / "brenner.so"
    order = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread", "-o", str(library)]
    subprocess.run([*order, str(FOLDER / "brenner_on_host.c")], check=True)
    call = ctypes.CDLL(str(library)).brenner_on_host

    def run(pixels: Pixels) -> Energy:
        rows, cols = (side // _BLOCK_PX for side in pixels.shape)
        energy = np.full((rows, cols), np.nan, np.float32)
        where = (ctypes.c_void_p(pixels.ctypes.data), pixels.strides[0], cols, rows)
        assert call(*where, ctypes.c_void_p(energy.ctypes.data)) == 0
        return energy

    return run


@pytest.mark.parametrize("name", PICTURES)
def test_the_kernels_arithmetic_is_that_of_the_scanner(on_host: Callable[[Pixels], Energy], name: str) -> None:
    pixels = PICTURES[name]
    np.testing.assert_allclose(on_host(pixels), measure(frame(pixels)).energy, rtol=1e-4)


@pytest.mark.parametrize("capability", ["8.7", "9.0"])
@pytest.mark.parametrize("source", ["brenner.cu", "mapped.cu"])
def test_the_kernels_compile_for_orin_and_for_a_server(source: str, capability: str) -> None:
    assert cubin(source, capability).startswith(b"\x7fELF")


def test_the_gpu_measures_focus_where_the_frame_lies_and_says_what_the_scanner_says(
    gpu: GpuThread, load: Callable[..., Kernels], record_property: Callable[[str, object], None]
) -> None:
    height, width = 1208, 1928
    rows, cols = height // _BLOCK_PX, width // _BLOCK_PX
    kernels = load("brenner.cu", "brenner")

    def enqueue(stream: int, read: int, written: int) -> None:
        where = (ctypes.c_uint64(read), ctypes.c_int(width), ctypes.c_uint64(written))
        kernels.launch("brenner", stream, (cols, rows), (_BLOCK_PX // 2, _BLOCK_PX // 2), *where)

    def work() -> tuple[list[Energy], float]:
        cuda = gpu.api
        stream = cuda.stream()
        slot = GraphSlot(cuda, stream, height * width, 4 * rows * cols, enqueue)
        found = []
        for pixels in pictures:
            slot.picture.array[:] = pixels.ravel()
            slot.answer.array[:] = 0xFF  # no number, as float32
            slot.start()
            cuda.stream_wait(stream)
            found.append(slot.answer.array.view(np.float32).reshape(rows, cols).copy())
        begun_s = time.perf_counter()
        for _ in range(_FRAMES):
            slot.start()
        cuda.stream_wait(stream)
        seconds = time.perf_counter() - begun_s
        slot.close()
        cuda.stream_free(stream)
        return found, seconds / _FRAMES

    pictures = [noise(height, width, 1), slope(height, width), stripes(height, width)]
    found, seconds = gpu.run(work)
    for pixels, energy in zip(pictures, found, strict=True):
        np.testing.assert_allclose(energy, measure(frame(pixels)).energy, rtol=1e-4)
    record_property("measured", f"{seconds * 1e3:.3f} ms a frame of {width} x {height}, mean of {_FRAMES}")
