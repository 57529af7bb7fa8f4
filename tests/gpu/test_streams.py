"""Streams and events: not done before, done after, and nobody waits for who has nothing to do with it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from engines.cuda.api import CudaApi, HostBuffer
from engines.cuda.errors import CudaError
from engines.cuda.gpu_thread import GpuThread

from .kernels import Kernels

_LOOKS = 20_000_000
"""At the gate, until the kernel gives up: some seconds, so that a failing test ends."""
_SIZE = 4096


class Busy:
    """Two streams, of which one can be kept busy. All on the GPU thread."""

    def __init__(self, cuda: CudaApi, kernels: Kernels) -> None:
        self.cuda, self.kernels = cuda, kernels
        self.held, self.other = cuda.stream(), cuda.stream()
        self.event = cuda.event()
        self.gate, self.picture, self.answer = (cuda.host_alloc(_SIZE) for _ in range(3))
        self.gate.array[0] = 1
        self.hold()
        self.invert()
        for stream in (self.held, self.other):  # the kernels are loaded: that would wait for a busy GPU
            cuda.stream_wait(stream)

    def hold(self) -> None:
        """Keep `held` busy while the gate is 0."""
        self.kernels.launch("hold", self.held, (1, 1), (1, 1), _at(self.gate), ctypes.c_int(_LOOKS))

    def invert(self) -> None:
        """The answer of the picture, on `other`."""
        where = (_at(self.picture), _at(self.answer))
        self.kernels.launch("invert", self.other, (_SIZE // 256, 1), (256, 1), *where, ctypes.c_int(_SIZE))

    @contextmanager
    def holding(self) -> Iterator[None]:
        """`held` is busy until the end."""
        self.gate.array[0] = 0
        self.hold()
        try:
            yield
        finally:
            self.gate.array[0] = 1
            self.cuda.stream_wait(self.held)

    def close(self) -> None:
        self.cuda.event_free(self.event)
        for stream in (self.held, self.other):
            self.cuda.stream_free(stream)
        for buffer in (self.gate, self.picture, self.answer):
            self.cuda.host_free(buffer)


def _at(buffer: HostBuffer) -> ctypes.c_uint64:
    return ctypes.c_uint64(buffer.device_pointer)


@pytest.fixture
def busy(gpu: GpuThread, load: Callable[..., Kernels]) -> Iterator[Busy]:
    kernels = load("mapped.cu", "hold", "invert")
    made = gpu.run(lambda: Busy(gpu.api, kernels))
    yield made
    gpu.run(made.close)


def test_an_event_is_done_when_its_stream_has_passed_it_and_not_before(gpu: GpuThread, busy: Busy) -> None:
    def work() -> tuple[list[bool], bool]:
        with busy.holding():
            busy.cuda.record(busy.event, busy.held)
            before = [busy.cuda.is_done(busy.event) for _ in range(100)]
        return before, busy.cuda.is_done(busy.event)

    before, after = gpu.run(work)
    assert not any(before)
    assert after


def test_an_event_that_is_recorded_again_is_not_done_again(gpu: GpuThread, busy: Busy) -> None:
    def work() -> list[bool]:
        busy.cuda.record(busy.event, busy.other)
        busy.cuda.stream_wait(busy.other)
        done = [busy.cuda.is_done(busy.event)]
        with busy.holding():
            busy.cuda.record(busy.event, busy.held)
            done.append(busy.cuda.is_done(busy.event))
        return done

    assert gpu.run(work) == [True, False]


def test_a_stream_does_not_wait_for_a_busy_one(gpu: GpuThread, busy: Busy) -> None:
    def work() -> bool:
        with busy.holding():
            busy.cuda.record(busy.event, busy.held)
            busy.picture.array[:] = np.arange(_SIZE) % 251
            busy.invert()
            busy.cuda.stream_wait(busy.other)
            return busy.cuda.is_done(busy.event)

    assert not gpu.run(work)
    assert np.array_equal(busy.answer.array, 255 - busy.picture.array)


def test_a_capture_that_fails_leaves_the_stream_usable(gpu: GpuThread, busy: Busy) -> None:
    """As an engine does whose network lets no graph be made of itself."""

    def work() -> None:
        busy.cuda.capture(busy.other)
        with pytest.raises(CudaError, match=r"(?i)captur"):
            busy.cuda.stream_wait(busy.other)  # nobody waits for what does not run
        with pytest.raises(CudaError, match=r"(?i)captur"):
            busy.cuda.captured(busy.other)
        busy.picture.array[:] = 7
        busy.invert()
        busy.cuda.stream_wait(busy.other)

    gpu.run(work)
    assert (busy.answer.array == 248).all()
