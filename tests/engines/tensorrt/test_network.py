"""Pictures through a built engine: every refusal of TensorRT and the GPU is an error, and no answer is another's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from engines.cuda.api import HostBuffer
from engines.cuda.errors import CudaError, StaleSlot
from engines.cuda.gpu_thread import GpuThread
from engines.errors import EngineError
from engines.tensorrt.errors import EngineFailed, EngineRefused
from engines.tensorrt.network import TensorRtNetwork
from engines.tensorrt.signature import Signature

from ..cuda.fake_cuda import FakeCuda
from .fake_tensorrt import BEHAVIOUR, CONTEXTS, plan

SIGNATURE = Signature("picture", (1, 16, 24, 3), "maps", (1, 2, 2, 3))
TENSORS = {"picture": [1, 16, 24, 3]}, {"maps": [1, 2, 2, 3]}


def picture(value: int) -> np.ndarray:
    return np.full((1, 16, 24, 3), value, np.uint8)


@contextmanager
def network(cuda: FakeCuda, answer: str = "mean", slots: int = 3) -> Iterator[TensorRtNetwork]:
    gpu = GpuThread(cuda)
    try:
        opened = TensorRtNetwork(plan(*TENSORS, answer), SIGNATURE, gpu, slots)
        yield opened
        opened.close()
        opened.close()
    finally:
        gpu.close()
    assert not cuda.live


def said(found: np.ndarray) -> int:
    assert np.unique(found).size == 1
    return round(float(found[0, 0, 0, 0]) * 255)


@pytest.mark.parametrize("no_graphs", [False, True])
def test_each_answer_is_that_of_its_picture(cuda: FakeCuda, *, no_graphs: bool) -> None:
    cuda.no_graphs = no_graphs
    with network(cuda) as net:
        assert net.graphs is not no_graphs
        assert str(net.layers) == "2 of 3 layers INT8"
        assert [said(net.run(picture(value), "picture", "maps")) for value in range(20)] == list(range(20))
    assert cuda.launched == (0 if no_graphs else 20)


def test_three_pictures_are_under_way_at_once_and_answered_in_any_order(cuda: FakeCuda) -> None:
    with network(cuda) as net:
        for start in (0, 100):
            tickets = [net.enqueue(picture(start + number)) for number in range(3)]
            for number in (2, 0, 1):
                assert said(net.answer(tickets[number], patience=lambda _: None)) == start + number


def test_a_ticket_is_answered_once(cuda: FakeCuda) -> None:
    with network(cuda) as net:
        ticket = net.enqueue(picture(1))
        net.answer(ticket)
        with pytest.raises(StaleSlot):
            net.answer(ticket)
        again = net.enqueue(picture(2))
        assert again.slot == ticket.slot
        with pytest.raises(StaleSlot):
            net.answer(ticket)
        assert said(net.answer(again)) == 2


@pytest.mark.parametrize("answer", ["nothing", "nan"])
def test_an_answer_that_was_not_written_is_none(cuda: FakeCuda, answer: str) -> None:
    with network(cuda, answer) as net, pytest.raises(EngineFailed, match="not written"):
        net.run(picture(3), "picture", "maps")


def test_a_gpu_that_hangs_is_not_waited_for_without_end(cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engines.tensorrt.network._DEADLINE_S", 0.0)
    with network(cuda) as net:
        cuda.polls = 10**9
        ticket = net.enqueue(picture(3))
        with pytest.raises(EngineFailed, match="has not answered"):
            net.answer(ticket)


def test_where_all_slots_are_taken_the_next_picture_waits_and_then_says_so(
    cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.tensorrt.network._DEADLINE_S", 0.0)
    with network(cuda) as net:
        for value in range(3):
            net.enqueue(picture(value))
        with pytest.raises(EngineFailed, match="No frame slot"):
            net.enqueue(picture(3))


@pytest.mark.parametrize("wrong", [np.zeros((1, 16, 23, 3), np.uint8), np.zeros((1, 16, 24, 3), np.float32)])
def test_another_picture_than_the_engine_was_built_for_is_refused(cuda: FakeCuda, wrong: np.ndarray) -> None:
    with network(cuda) as net:
        with pytest.raises(EngineFailed, match="built for"):
            net.enqueue(wrong)
        with pytest.raises(EngineFailed, match="reads 'picture'"):
            net.run(picture(0), "image", "maps")


@pytest.mark.parametrize("fails", [False, True])
def test_contexts_are_freed_before_the_memory_that_they_are_bound_to(
    cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    """Also where opening fails, here for want of a third context."""
    free, bound = cuda.host_free, list[bool]()

    def watched(buffer: HostBuffer) -> None:
        bound.extend(buffer.device_pointer in context._addresses.values() for context in CONTEXTS)
        free(buffer)

    monkeypatch.setattr(cuda, "host_free", watched)
    gpu = GpuThread(cuda)
    if fails:
        BEHAVIOUR["contexts"] = 2
        with pytest.raises(EngineRefused):
            TensorRtNetwork(plan(*TENSORS), SIGNATURE, gpu)
    else:
        opened = TensorRtNetwork(plan(*TENSORS), SIGNATURE, gpu)
        assert len(CONTEXTS) == 3
        opened.close()
    gpu.close()
    assert not any(bound)
    assert not CONTEXTS


def test_a_closed_engine_says_so(cuda: FakeCuda) -> None:
    with network(cuda) as net:
        net.close()
        with pytest.raises(EngineFailed, match="closed"):
            net.enqueue(picture(0))


REFUSED: list[tuple[dict[str, object], str, bytes, type[EngineError], str]] = [
    ({}, "", b"\x00garbage", EngineRefused, "magicTagRead"),
    ({}, "", plan({"image": [1, 16, 24, 3]}, TENSORS[1]), EngineRefused, "promises"),
    ({}, "", plan({"picture": [1, 16, 16, 3]}, TENSORS[1]), EngineRefused, "promises"),
    ({}, "", plan(*TENSORS, kind="FLOAT"), EngineRefused, "promises"),
    ({}, "", plan(*TENSORS, "refuse"), EngineFailed, "refused to run"),
    ({"contexts": 0}, "", plan(*TENSORS), EngineRefused, "no memory"),
    ({"contexts": 2}, "", plan(*TENSORS), EngineRefused, "no memory"),
    ({"no address for": "maps"}, "", plan(*TENSORS), EngineRefused, "'maps'"),
    *(({}, call, plan(*TENSORS), CudaError, call) for call in ("stream", "host_alloc", "event")),
]


@pytest.mark.parametrize(("behaviour", "call", "built", "error", "words"), REFUSED)
def test_whatever_is_refused_is_an_error_and_nothing_stays_allocated(
    cuda: FakeCuda, behaviour: dict[str, object], call: str, built: bytes, error: type[EngineError], words: str
) -> None:
    gpu = GpuThread(cuda)
    BEHAVIOUR.update(behaviour)
    cuda.fail = call
    with pytest.raises(error, match=words):
        TensorRtNetwork(built, SIGNATURE, gpu)
    gpu.close()
    assert not cuda.live


def test_where_a_capture_cannot_be_ended_the_engine_runs_without_graphs(cuda: FakeCuda) -> None:
    cuda.fail = "captured"
    with network(cuda) as net:
        assert not net.graphs
        assert said(net.run(picture(9), "picture", "maps")) == 9


def test_a_run_that_the_driver_refuses_is_an_error_and_its_slot_is_not_used_again(
    cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    with network(cuda) as net:
        cuda.fail = "launch"
        with pytest.raises(CudaError, match="launch"):
            net.enqueue(picture(0))
        cuda.fail = ""
        tickets = {net.enqueue(picture(value)).slot for value in (1, 2)}
        assert tickets == {1, 2}
        monkeypatch.setattr("engines.tensorrt.network._DEADLINE_S", 0.0)
        with pytest.raises(EngineFailed, match="No frame slot"):
            net.enqueue(picture(3))
