"""A CUDA driver in memory that insists on the rules: one thread, a pushed context, nothing used after it was freed.

Work is enqueued as callables and runs when the stream is waited for or polled, so that who reads an answer too early
reads an old one.
"""

from __future__ import annotations

import itertools
import threading
from collections import defaultdict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from engines.cuda.api import HostBuffer
from engines.cuda.errors import CudaError


class FakeBuffer:
    """Host memory whose address is known to the fake alone."""

    def __init__(self, size: int, pointer: int) -> None:
        self.memory = np.zeros(size, np.uint8)
        self.pointer = pointer
        self.freed = False

    @property
    def array(self) -> NDArray[np.uint8]:
        assert not self.freed, "use after free: a buffer's array"
        return self.memory

    @property
    def device_pointer(self) -> int:
        assert not self.freed, "use after free: a buffer's pointer"
        return self.pointer


class FakeCuda:
    """Implements `engines.cuda.api.CudaApi`. polls: how often an event is asked for before it is done.

    no_graphs: capture fails, as some networks let it. fail: name of the call that the driver refuses.
    """

    def __init__(self, *, polls: int = 2, no_graphs: bool = False, fail: str = "") -> None:
        self.polls = polls
        self.no_graphs = no_graphs
        self.fail = fail
        self.thread: int | None = None
        self.depth = 0
        self.live: dict[int, object] = {}
        self.freed: list[int] = []
        self.kinds: dict[int, str] = {}
        self.pending: dict[int, list[Callable[[], None]]] = defaultdict(list)
        self.capturing: dict[int, list[Callable[[], None]]] = {}
        self.marks: dict[int, tuple[int, int]] = {}
        self.asked: dict[int, int] = {}
        self.launched = 0
        self._handles = itertools.count(0x7000)

    def _called(self, name: str) -> None:
        here = threading.get_ident()
        assert self.depth == 1, f"{name} without a pushed context"
        assert self.thread == here, f"{name} from a thread that does not own the GPU"
        if name == self.fail:
            raise CudaError(f"The CUDA driver refused {name}.", remedy="none")

    def _new(self, kind: str, thing: object = None) -> int:
        handle = next(self._handles)
        self.live[handle], self.kinds[handle] = thing, kind
        return handle

    def _take(self, handle: int, kind: str) -> object:
        assert handle in self.live, f"use after free: {kind} {handle}"
        assert self.kinds[handle] == kind, f"{handle} is a {self.kinds[handle]}, not a {kind}"
        return self.live[handle]

    def _free(self, handle: int, kind: str) -> None:
        self._take(handle, kind)
        del self.live[handle]
        self.freed.append(handle)

    def push(self) -> None:
        assert self.depth == 0, "the context is pushed already"
        if self.fail == "push":
            raise CudaError("No GPU.", remedy="none")
        self.depth, self.thread = 1, threading.get_ident()

    def pop(self) -> None:
        self._called("pop")
        left = sorted(self.kinds[handle] for handle in self.live)
        assert not left, f"the context is popped while these live: {left}"
        self.depth, self.thread = 0, None

    def host_alloc(self, size: int) -> FakeBuffer:
        self._called("host_alloc")
        buffer = FakeBuffer(size, 0)
        buffer.pointer = self._new("buffer", buffer)
        return buffer

    def host_free(self, buffer: HostBuffer) -> None:
        self._called("host_free")
        assert isinstance(buffer, FakeBuffer)
        assert not any(self.pending.values()), "memory is freed while work that may use it is under way"
        self._free(buffer.pointer, "buffer")
        buffer.freed = True

    def stream(self) -> int:
        self._called("stream")
        return self._new("stream")

    def stream_wait(self, stream: int) -> None:
        self._called("stream_wait")
        self._take(stream, "stream")
        assert stream not in self.capturing, "a stream that captures cannot be waited for"
        self._drain(stream)

    def stream_free(self, stream: int) -> None:
        self._called("stream_free")
        assert not self.pending[stream], "a stream is freed with work on it"
        self._free(stream, "stream")

    def event(self) -> int:
        self._called("event")
        return self._new("event")

    def record(self, event: int, stream: int) -> None:
        self._called("record")
        self._take(event, "event")
        self._take(stream, "stream")
        self.asked[event] = 0
        self.marks[event] = (stream, len(self.pending[stream]))

    def is_done(self, event: int) -> bool:
        self._called("is_done")
        self._take(event, "event")
        self.asked[event] += 1
        if self.asked[event] < self.polls:
            return False
        self._drain(self.marks[event][0])
        return True

    def event_free(self, event: int) -> None:
        self._called("event_free")
        self._free(event, "event")

    def capture(self, stream: int) -> None:
        self._called("capture")
        self._take(stream, "stream")
        assert not self.pending[stream], "capture begins on a stream with work on it"
        if self.no_graphs:
            raise CudaError("The CUDA driver refused to capture.", remedy="none")
        self.capturing[stream] = []

    def captured(self, stream: int) -> int:
        work = self.capturing.pop(stream)
        self._called("captured")
        return self._new("graph", work)

    def launch(self, graph: int, stream: int) -> None:
        self._called("launch")
        work = self._take(graph, "graph")
        assert isinstance(work, list)
        self.pending[stream].extend(work)
        self.launched += 1

    def graph_free(self, graph: int) -> None:
        self._called("graph_free")
        self._free(graph, "graph")

    def enqueue(self, stream: int, work: Callable[[], None]) -> None:
        """What a fake TensorRT puts on a stream."""
        self._called("enqueue")
        self._take(stream, "stream")
        self.capturing.get(stream, self.pending[stream]).append(work)

    def buffer_at(self, pointer: int) -> FakeBuffer:
        """The memory behind an address."""
        buffer = self._take(pointer, "buffer")
        assert isinstance(buffer, FakeBuffer)
        return buffer

    def _drain(self, stream: int) -> None:
        work, self.pending[stream] = self.pending[stream], []
        for step in work:
            step()
