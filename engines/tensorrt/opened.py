"""A built engine, open on the GPU: one execution context with its own buffers for each frame slot.

Everything here runs on the GPU thread. Addresses are bound once; each slot's work is captured as a CUDA graph where
that can be done, and enqueued piece by piece where not. What was opened is closed in reverse, whatever fails.
"""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import tensorrt as trt
from numpy.typing import NDArray

from engines.cuda.api import CudaApi, HostBuffer
from engines.cuda.errors import CudaError
from engines.tensorrt.errors import EngineFailed, EngineRefused
from engines.tensorrt.inspection import LayerSummary, summarise
from engines.tensorrt.messages import Messages
from engines.tensorrt.signature import Signature

_REBUILD = "Build the engine again on this device from its package."
_UNWRITTEN = 0xFF
"""Fills the answer's memory before each run. As float32 it is no number, so that an answer nobody wrote shows."""


class EngineSlot:
    """One context of the engine.

    picture: uint8 (1, H, W, 3) and answer: float32 (1, labels, h, w), where the GPU reads and writes them. captured:
    whether it runs as a graph.
    """

    def __init__(self, engine: trt.ICudaEngine, cuda: CudaApi, signature: Signature, stream: int) -> None:
        self._cuda = cuda
        self._stream = stream
        self._graph: int | None = None
        with ExitStack() as opened:
            self._context = _context(engine)
            picture = _memory(cuda, opened, int(np.prod(signature.input_shape)))
            answer = _memory(cuda, opened, 4 * int(np.prod(signature.output_shape)))
            self._bind(signature.input_name, picture)
            self._bind(signature.output_name, answer)
            self._bytes = answer.array
            self.picture: NDArray[np.uint8] = picture.array.reshape(signature.input_shape)
            self.answer: NDArray[np.float32] = self._bytes.view(np.float32).reshape(signature.output_shape)
            self._event = cuda.event()
            opened.callback(cuda.event_free, self._event)
            opened.callback(delattr, self, "_context")  # TensorRT frees it: before the memory that it is bound to
            self._prepare(opened)
            self._opened = opened.pop_all()

    @property
    def captured(self) -> bool:
        """Whether it runs as a graph."""
        return self._graph is not None

    def start(self) -> None:
        """Enqueue the picture that lies in `picture`. Raises EngineFailed, CudaError."""
        self._bytes.fill(_UNWRITTEN)
        if self._graph is None:
            self._enqueue()
        else:
            self._cuda.launch(self._graph, self._stream)
        self._cuda.record(self._event, self._stream)

    def is_done(self) -> bool:
        """Whether `answer` may be read."""
        return self._cuda.is_done(self._event)

    def close(self) -> None:
        """Nothing may be under way any more."""
        self._opened.close()

    def _bind(self, name: str, buffer: HostBuffer) -> None:
        if not self._context.set_tensor_address(name, buffer.device_pointer):
            raise EngineRefused(f"TensorRT takes no address for the tensor {name!r}.", remedy=_REBUILD)

    def _enqueue(self) -> None:
        if not self._context.execute_async_v3(self._stream):
            raise EngineFailed("TensorRT refused to run the engine.", remedy="Restart the scanner; the slide goes on.")

    def _prepare(self, opened: ExitStack) -> None:
        """Run once, as nothing may be allocated while a graph is captured; then capture, if the network lets itself."""
        self._enqueue()
        self._cuda.stream_wait(self._stream)
        try:
            self._cuda.capture(self._stream)
        except CudaError:
            return
        accepted = self._context.execute_async_v3(self._stream)
        try:
            graph = self._cuda.captured(self._stream)
        except CudaError:
            return
        opened.callback(self._cuda.graph_free, graph)
        self._graph = graph if accepted else None


class OpenEngine:
    """An engine with so many slots. Raises EngineRefused where the plan is not for this device or not as promised.

    layers: how many of them run in INT8.
    """

    def __init__(self, plan: bytes, signature: Signature, cuda: CudaApi, slots: int) -> None:
        messages = Messages()
        self._runtime = trt.Runtime(messages)  # must outlive its engine
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise EngineRefused(f"TensorRT refused the engine ({messages.why()}).", remedy=_REBUILD)
        _check(self._engine, signature)
        inspector = self._engine.create_engine_inspector()
        self.layers: LayerSummary = summarise(inspector.get_engine_information(trt.LayerInformationFormat.JSON))
        self.slots: list[EngineSlot] = []
        with ExitStack() as opened:
            stream = cuda.stream()
            opened.callback(cuda.stream_free, stream)
            opened.callback(delattr, self, "_runtime")
            opened.callback(delattr, self, "_engine")
            for _ in range(slots):
                slot = EngineSlot(self._engine, cuda, signature, stream)
                opened.callback(slot.close)
                self.slots.append(slot)
            opened.callback(cuda.stream_wait, stream)
            self._opened = opened.pop_all()

    def close(self) -> None:
        """After all work that is under way: slots, engine, runtime, stream."""
        self._opened.close()


def _context(engine: trt.ICudaEngine) -> trt.IExecutionContext:
    context = engine.create_execution_context()
    if context is None:
        raise EngineRefused(
            "The GPU has no memory for one more context of the engine.", remedy="Close what else uses the GPU."
        )
    return context


def _memory(cuda: CudaApi, opened: ExitStack, size: int) -> HostBuffer:
    buffer = cuda.host_alloc(size)
    opened.callback(cuda.host_free, buffer)
    return buffer


def _check(engine: trt.ICudaEngine, signature: Signature) -> None:
    """Whether the plan has the tensors of its package."""
    found = {name: _tensor(engine, name) for name in map(engine.get_tensor_name, range(engine.num_io_tensors))}
    promised = {
        signature.input_name: (True, signature.input_shape, trt.DataType.UINT8),
        signature.output_name: (False, signature.output_shape, trt.DataType.FLOAT),
    }
    if found != promised:
        raise EngineRefused(
            f"The engine has the tensors {_told(found)}; its package promises {_told(promised)}.", remedy=_REBUILD
        )


_Tensor = tuple[bool, tuple[int, ...], trt.DataType]
"""Whether it is an input, its shape, its type."""


def _tensor(engine: trt.ICudaEngine, name: str) -> _Tensor:
    shape = engine.get_tensor_shape(name)
    sizes = tuple(shape[axis] for axis in range(len(shape)))
    return engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT, sizes, engine.get_tensor_dtype(name)


def _told(tensors: dict[str, _Tensor]) -> str:
    return ", ".join(f"{name} {kind.name} {shape}" for name, (_, shape, kind) in sorted(tensors.items()))
