"""A network built and looked into by TensorRT. The only part of a build that imports it: without a GPU it may crash."""

from __future__ import annotations

from collections.abc import Callable

import tensorrt as trt

from engines.package import EnginePackage
from engines.tensorrt.build import BuildOrder, Built, Progress, build
from engines.tensorrt.errors import BuildFailed
from engines.tensorrt.inspection import LayerSummary, summarise
from engines.tensorrt.messages import Messages
from engines.tensorrt.signature import FrameSize, signature

VERSION: str = trt.__version__


def compile_network(
    package: EnginePackage,
    frame: FrameSize,
    workspace_mib: int,
    timing_cache: bytes,
    progress: Progress,
    heard: Callable[[str], None],
) -> Built:
    """Build for whole frames, or for the package's own tiles. heard: of warnings and errors. Raises BuildFailed."""
    promised = signature(package, frame)
    _, height_px, width_px, _ = promised.input_shape
    order = BuildOrder(package.onnx_bytes, promised.input_name, height_px, width_px, workspace_mib, timing_cache)
    return build(order, progress, heard)


def layers_of(plan: bytes) -> LayerSummary:
    """How many layers run in INT8. Raises BuildFailed where TensorRT does not open what it has built."""
    messages = Messages()
    runtime = trt.Runtime(messages)  # must outlive its engine
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise BuildFailed(
            f"TensorRT does not open the engine that it has built ({messages.why()}).",
            remedy="The engine in use stays as it is. Send the build log with the package's name to the maker.",
        )
    inspector = engine.create_engine_inspector()
    return summarise(inspector.get_engine_information(trt.LayerInformationFormat.JSON))
