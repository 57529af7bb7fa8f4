"""Score pictures with a built engine: frames go into slots, the GPU thread runs them, answers come out in order."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from engines.cuda.gpu_thread import GpuThread
from engines.cuda.slots import LEAST, SlotRing, SlotState, Ticket
from engines.network import Network
from engines.tensorrt.errors import EngineFailed
from engines.tensorrt.inspection import LayerSummary
from engines.tensorrt.opened import OpenEngine
from engines.tensorrt.signature import Signature

_POLL_S = 500e-6
"""Pause between two looks. An answer seen this late costs nothing while the GPU works on the next picture."""
_DEADLINE_S = 10.0
"""A field takes some tens of milliseconds; after this long the GPU hangs."""


class TensorRtNetwork(Network):
    """One engine. As many pictures as it has slots may be under way.

    Raises EngineRefused, CudaError. layers: how many run in INT8. graphs: whether it runs as CUDA graphs.
    """

    def __init__(self, plan: bytes, signature: Signature, gpu: GpuThread, slots: int = LEAST) -> None:
        self._gpu = gpu
        self._signature = signature
        self._ring = SlotRing(slots)
        self._engine: OpenEngine | None = gpu.run(lambda: OpenEngine(plan, signature, gpu.api, slots))
        self.layers: LayerSummary = self._engine.layers
        self.graphs = all(slot.captured for slot in self._engine.slots)

    def run(self, picture: NDArray[np.uint8], input_name: str, output_name: str) -> NDArray[np.float32]:
        """Answer (1, labels, h, w) on `picture` (1, H, W, 3). Raises EngineFailed."""
        return self.start(picture, input_name, output_name)()

    def start(self, picture: NDArray[np.uint8], input_name: str, output_name: str) -> Callable[[], NDArray[np.float32]]:
        """Start on a picture while earlier ones are under way; see `enqueue` and `answer`. Raises EngineFailed."""
        if (input_name, output_name) != (self._signature.input_name, self._signature.output_name):
            raise EngineFailed(
                f"The engine reads {self._signature.input_name!r} and answers {self._signature.output_name!r}, not "
                f"{input_name!r} and {output_name!r}.",
                remedy="Build the engine again from its package.",
            )
        ticket = self.enqueue(picture)
        return lambda: self.answer(ticket)

    def enqueue(self, picture: NDArray[np.uint8]) -> Ticket:
        """Put a picture (1, H, W, 3) into the next free slot and start on it; waits for a slot. Raises EngineFailed."""
        engine = self._opened()
        if picture.shape != self._signature.input_shape or picture.dtype != np.uint8:
            raise EngineFailed(
                f"The picture is {picture.dtype} {picture.shape}; the engine was built for uint8 "
                f"{self._signature.input_shape}.",
                remedy="Build the engine for this camera, or set the camera to the frame it was built for.",
            )
        ticket = self._ring.take(_DEADLINE_S)
        if ticket is None:
            raise EngineFailed(f"No frame slot became free in {_DEADLINE_S:g} s.", remedy="Restart the scanner.")
        slot = engine.slots[ticket.slot]
        slot.picture[...] = picture
        self._ring.advance(ticket, SlotState.READY)
        self._ring.advance(ticket, SlotState.ENQUEUED)
        self._gpu.run(slot.start)  # where this fails, nobody knows what the GPU still reads: the slot is not used again
        return ticket

    def answer(self, ticket: Ticket, patience: Callable[[float], None] = time.sleep) -> NDArray[np.float32]:
        """What the network says of the picture that was enqueued, as soon as it is done; its slot is free again.

        patience: waits so many seconds between two looks. Raises EngineFailed where the GPU takes too long or wrote
        nothing, StaleSlot for a ticket that was answered before.
        """
        slot = self._opened().slots[ticket.slot]
        if self._ring.state(ticket) is not SlotState.ENQUEUED:
            self._ring.advance(ticket, SlotState.DONE)  # says what is wrong
        until_s = time.monotonic() + _DEADLINE_S
        while not self._gpu.run(slot.is_done):
            if time.monotonic() > until_s:
                raise EngineFailed(
                    f"The GPU has not answered in {_DEADLINE_S:g} s.", remedy="Restart the scanner; the slide goes on."
                )
            patience(_POLL_S)
        self._ring.advance(ticket, SlotState.DONE)
        found: NDArray[np.float32] = slot.answer.copy()
        self._ring.advance(ticket, SlotState.FREE)
        if not np.isfinite(found).all():
            raise EngineFailed(
                "The engine has not written a whole answer, or one that is no number.",
                remedy="The field is not scored. If it happens again, go back to the engine before.",
            )
        return found

    def close(self) -> None:
        """Free the engine; safe to call twice. The GPU thread stays."""
        if self._engine is not None:
            engine, self._engine = self._engine, None
            self._gpu.run(engine.close)

    def _opened(self) -> OpenEngine:
        if self._engine is None:
            raise EngineFailed("The engine is closed.", remedy="Open it again.")
        return self._engine
