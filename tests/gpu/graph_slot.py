"""A frame slot whose work is one captured graph, as `engines.tensorrt.opened` has them, with a kernel for a network."""

from __future__ import annotations

from collections.abc import Callable

from engines.cuda.api import CudaApi

Enqueue = Callable[[int, int, int], None]
"""Puts a kernel on a stream, given that, and where the GPU finds the picture and its answer."""


class GraphSlot:
    """picture, answer: mapped memory of so many bytes. All calls on the GPU thread."""

    def __init__(self, cuda: CudaApi, stream: int, picture: int, answer: int, enqueue: Enqueue) -> None:
        self._cuda, self._stream = cuda, stream
        self.picture, self.answer = cuda.host_alloc(picture), cuda.host_alloc(answer)
        self._event = cuda.event()
        where = (stream, self.picture.device_pointer, self.answer.device_pointer)
        enqueue(*where)  # once before: nothing may be loaded while a graph is captured
        cuda.stream_wait(stream)
        cuda.capture(stream)
        enqueue(*where)
        self._graph = cuda.captured(stream)

    def start(self) -> None:
        """Enqueue what lies in `picture`."""
        self._cuda.launch(self._graph, self._stream)
        self._cuda.record(self._event, self._stream)

    def is_done(self) -> bool:
        """Whether `answer` may be read."""
        return self._cuda.is_done(self._event)

    def close(self) -> None:
        """Nothing may be under way any more."""
        self._cuda.graph_free(self._graph)
        self._cuda.event_free(self._event)
        self._cuda.host_free(self.answer)
        self._cuda.host_free(self.picture)
