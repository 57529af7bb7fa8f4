"""What the TensorRT runtime needs of CUDA, whichever binding brings it.

All of it is called from one thread, which has pushed the context. Buffers are pinned host memory that the GPU reads and
writes where it lies: on a Jetson both share the same memory, so that a frame is never copied.
Source: edge reference 2.7 and appendix B.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class HostBuffer(Protocol):
    """Pinned host memory, mapped into the GPU's address space."""

    @property
    def array(self) -> NDArray[np.uint8]:
        """Its bytes (n,); a view, valid until the buffer is freed."""

    @property
    def device_pointer(self) -> int:
        """Where the GPU finds it."""


class CudaApi(Protocol):
    """A GPU's primary context, and what can be had in it. Handles are integers, as TensorRT takes them.

    Every call raises CudaError where the driver reports one; none returns a status.
    """

    def push(self) -> None:
        """Make the primary context current in this thread; it is retained first."""

    def pop(self) -> None:
        """Undo `push`; the primary context is released."""

    def host_alloc(self, size: int) -> HostBuffer:
        """Pinned, mapped host memory of so many bytes."""

    def host_free(self, buffer: HostBuffer) -> None:
        """Give it back; its array must not be touched again."""

    def stream(self) -> int:
        """A new stream that does not wait for the default one."""

    def stream_wait(self, stream: int) -> None:
        """Until all that was enqueued there is done."""

    def stream_free(self, stream: int) -> None:
        """Give it back."""

    def event(self) -> int:
        """A new event, without timing."""

    def record(self, event: int, stream: int) -> None:
        """Let the event come after all that has been enqueued on the stream."""

    def is_done(self, event: int) -> bool:
        """Whether the GPU has passed the event since it was recorded last."""

    def event_free(self, event: int) -> None:
        """Give it back."""

    def capture(self, stream: int) -> None:
        """From now on enqueue into a graph instead of running."""

    def captured(self, stream: int) -> int:
        """The graph of all that was enqueued since `capture`, ready to launch."""

    def launch(self, graph: int, stream: int) -> None:
        """Enqueue a whole graph."""

    def graph_free(self, graph: int) -> None:
        """Give it back."""
