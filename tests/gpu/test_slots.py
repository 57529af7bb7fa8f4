"""Frame slots in mapped memory: what one side writes the other reads where it lies, each frame once and in order."""

from __future__ import annotations

import ctypes
import queue
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.cuda.gpu_thread import GpuThread
from engines.cuda.slots import LEAST, SlotRing, SlotState, Ticket

from .graph_slot import GraphSlot
from .kernels import Kernels

_SIZE = 1 << 20
_FRAMES = 300
_DEADLINE_S = 30.0


def picture(number: int) -> NDArray[np.uint8]:
    """No two of them are alike at any place that is near."""
    return ((np.arange(_SIZE) + 37 * number) % 251).astype(np.uint8)


@pytest.fixture
def invert(load: Callable[..., Kernels]) -> Callable[[int, int, int], None]:
    kernels = load("mapped.cu", "invert")

    def enqueue(stream: int, read: int, written: int) -> None:
        where = (ctypes.c_uint64(read), ctypes.c_uint64(written), ctypes.c_int(_SIZE))
        kernels.launch("invert", stream, (_SIZE // 256, 1), (256, 1), *where)

    return enqueue


@pytest.fixture
def slots(gpu: GpuThread, invert: Callable[[int, int, int], None]) -> Iterator[list[GraphSlot]]:
    """Three, on one stream."""
    with ExitStack() as opened:
        stream = gpu.run(gpu.api.stream)
        opened.callback(gpu.run, lambda: gpu.api.stream_free(stream))
        made = [gpu.run(lambda: GraphSlot(gpu.api, stream, _SIZE, _SIZE, invert)) for _ in range(LEAST)]
        for slot in made:
            opened.callback(gpu.run, slot.close)
        opened.callback(gpu.run, lambda: gpu.api.stream_wait(stream))
        yield made


def wait(gpu: GpuThread, slot: GraphSlot) -> None:
    until_s = time.monotonic() + _DEADLINE_S
    while not gpu.run(slot.is_done):
        assert time.monotonic() < until_s, "the GPU does not answer"


def test_what_the_host_writes_the_gpu_reads_and_its_answer_the_host_without_a_copy(
    gpu: GpuThread, invert: Callable[[int, int, int], None]
) -> None:
    cuda = gpu.api

    def work() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        stream, read, written = cuda.stream(), cuda.host_alloc(_SIZE), cuda.host_alloc(_SIZE)
        read.array[:] = picture(1)
        written.array[:] = 0
        invert(stream, read.device_pointer, written.device_pointer)
        cuda.stream_wait(stream)
        first = written.array.copy()
        read.array[: _SIZE // 2] = 9
        invert(stream, read.device_pointer, written.device_pointer)
        cuda.stream_wait(stream)
        second = written.array.copy()
        cuda.host_free(read)
        cuda.host_free(written)
        cuda.stream_free(stream)
        return first, second

    first, second = gpu.run(work)
    assert np.array_equal(first, 255 - picture(1))
    assert (second[: _SIZE // 2] == 246).all()
    assert np.array_equal(second[_SIZE // 2 :], first[_SIZE // 2 :])


def test_what_is_captured_does_not_run_before_it_is_launched(
    gpu: GpuThread, invert: Callable[[int, int, int], None]
) -> None:
    cuda = gpu.api

    def work() -> tuple[bool, bool]:
        stream, read, written = cuda.stream(), cuda.host_alloc(_SIZE), cuda.host_alloc(_SIZE)
        read.array[:] = 1
        invert(stream, read.device_pointer, written.device_pointer)  # loads the kernel
        cuda.stream_wait(stream)
        written.array[:] = 0
        cuda.capture(stream)
        invert(stream, read.device_pointer, written.device_pointer)
        graph = cuda.captured(stream)
        cuda.stream_wait(stream)
        untouched = bool((written.array == 0).all())
        cuda.launch(graph, stream)
        cuda.stream_wait(stream)
        answered = bool((written.array == 254).all())
        cuda.graph_free(graph)
        cuda.host_free(read)
        cuda.host_free(written)
        cuda.stream_free(stream)
        return untouched, answered

    assert gpu.run(work) == (True, True)


def test_a_graph_reads_what_lies_in_its_slot_each_time_it_is_launched(gpu: GpuThread, slots: list[GraphSlot]) -> None:
    slot = slots[0]
    for number in range(_FRAMES):
        slot.picture.array[:] = picture(number)
        gpu.run(slot.start)
        wait(gpu, slot)
        assert np.array_equal(slot.answer.array, 255 - picture(number)), f"frame {number}"


def test_frames_of_a_ring_under_load_come_out_whole_and_in_order(gpu: GpuThread, slots: list[GraphSlot]) -> None:
    ring = SlotRing(LEAST)
    begun: queue.SimpleQueue[Ticket] = queue.SimpleQueue()

    def camera() -> None:
        for number in range(_FRAMES):
            ticket = ring.take(_DEADLINE_S)
            assert ticket is not None, "no slot becomes free"
            slots[ticket.slot].picture.array[:] = picture(number)
            ring.advance(ticket, SlotState.READY)
            ring.advance(ticket, SlotState.ENQUEUED)
            gpu.run(slots[ticket.slot].start)
            begun.put(ticket)

    with ThreadPoolExecutor(1) as pool:
        feeding = pool.submit(camera)
        for number in range(_FRAMES):
            ticket = begun.get(timeout=_DEADLINE_S)
            slot = slots[ticket.slot]
            wait(gpu, slot)
            ring.advance(ticket, SlotState.DONE)
            answer = slot.answer.array.copy()
            ring.advance(ticket, SlotState.FREE)
            assert np.array_equal(answer, 255 - picture(number)), f"frame {number} in slot {ticket.slot}"
        feeding.result()
