"""Build an engine of a package's network on this device.

Strongly typed networks with explicit quantisation only: what the file says is what runs, and nothing else survives from
TensorRT 10.3 to 11.4 (edge reference 2.3). Takes minutes on a Jetson, and memory; so it never runs beside a slide.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import SupportsInt

import tensorrt as trt

from engines.tensorrt.errors import BuildFailed
from engines.tensorrt.messages import Messages

_MIB = 1 << 20
_RETRY = "The engine in use stays as it is. Send the build log with the package's name to the maker."


@dataclass(frozen=True)
class BuildOrder:
    """onnx: the package's file. input_name, shape: its one input, made (1, height, width, 3) for good.

    timing_cache: of an earlier build on this device, or empty; it makes builds shorter and more alike.
    """

    onnx: bytes
    input_name: str
    height_px: int
    width_px: int
    workspace_mib: int = 1024
    timing_cache: bytes = b""


@dataclass(frozen=True)
class Built:
    """plan: what a runtime of this TensorRT on this GPU opens. messages: warnings and errors of the build."""

    plan: bytes
    timing_cache: bytes
    seconds: float
    messages: tuple[str, ...]
    tensorrt: str


Progress = Callable[[str, int, int], bool]
"""Phase, step, steps of the phase; False asks the build to stop."""


class _Monitor(trt.IProgressMonitor):
    """Passes on how far TensorRT is; it calls from its own thread."""

    def __init__(self, progress: Progress) -> None:
        trt.IProgressMonitor.__init__(self)
        self._progress = progress
        self._steps: dict[str, int] = {}
        self.stopped = False

    def phase_start(self, phase_name: str, parent_phase: str, num_steps: SupportsInt) -> None:  # noqa: ARG002
        self._steps[phase_name] = int(num_steps)
        self._tell(phase_name, 0)

    def step_complete(self, phase_name: str, step: SupportsInt) -> bool:
        return self._tell(phase_name, int(step) + 1)

    def phase_finish(self, phase_name: str) -> None:
        self._tell(phase_name, self._steps.pop(phase_name, 0))

    def _tell(self, phase: str, step: int) -> bool:
        self.stopped = self.stopped or not self._progress(phase, step, self._steps.get(phase, step))
        return not self.stopped


def build(
    order: BuildOrder, progress: Progress = lambda *_: True, heard: Callable[[str], None] = lambda _: None
) -> Built:
    """An engine of the network for pictures of one size. heard: told of each warning and error, as it comes.

    Raises BuildFailed with what TensorRT said last.
    """
    begun_s = time.monotonic()
    messages = Messages(heard)
    builder = trt.Builder(messages)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    _parse(network, order, messages)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, order.workspace_mib * _MIB)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # the inspector counts INT8 layers by it
    monitor = _Monitor(progress)
    config.progress_monitor = monitor
    cache = config.create_timing_cache(order.timing_cache)
    if not config.set_timing_cache(cache, ignore_mismatch=False):
        cache = config.create_timing_cache(b"")
        if not config.set_timing_cache(cache, ignore_mismatch=False):
            raise BuildFailed(f"TensorRT takes no timing cache ({messages.why()}).", remedy=_RETRY)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        what = "The build was stopped." if monitor.stopped else f"TensorRT built no engine ({messages.why()})."
        raise BuildFailed(what, remedy=_RETRY)
    kept = config.get_timing_cache()
    return Built(
        bytes(plan),
        bytes(kept.serialize()) if kept is not None else b"",
        time.monotonic() - begun_s,
        messages.lines,
        trt.__version__,
    )


def _parse(network: trt.INetworkDefinition, order: BuildOrder, messages: Messages) -> None:
    parser = trt.OnnxParser(network, messages)
    if not parser.parse(order.onnx):
        errors = [parser.get_error(number).desc() for number in range(parser.num_errors)]
        raise BuildFailed(f"TensorRT cannot read the network: {'; '.join(errors) or messages.why()}", remedy=_RETRY)
    names = [network.get_input(number).name for number in range(network.num_inputs)]
    if names != [order.input_name]:
        raise BuildFailed(f"The network has inputs {names}, not the one {order.input_name!r}.", remedy=_RETRY)
    network.get_input(0).shape = trt.Dims([1, order.height_px, order.width_px, 3])
