"""Run an engine package on the GPU with the engine that TensorRT built of it on this device."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import tensorrt as trt

from engines.cuda.api import CudaApi
from engines.cuda.gpu_thread import GpuThread
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import EnginePackage
from engines.scorer import BackendInfo
from engines.tensorrt.network import TensorRtNetwork
from engines.tensorrt.opened import Signature

KIND = "tensorrt"


@dataclass(frozen=True)
class FrameSize:
    """Of the camera's pictures, in pixels; an engine is built for one."""

    height_px: int
    width_px: int


def signature(package: EnginePackage, frame: FrameSize) -> Signature:
    """What an engine of the package reads and answers: whole frames, or its own tiles."""
    manifest = package.manifest
    height, width, stride = frame.height_px, frame.width_px, manifest.output.stride
    if manifest.tiling is not None:
        height, width = manifest.tiling.height_px, manifest.tiling.width_px
    cells = (-(-height // stride), -(-width // stride))
    if manifest.tiling is not None and manifest.tiling.answers == "field":
        cells = (1, 1)
    shape = (1, len(manifest.labels), *cells)
    return Signature(manifest.input.name, (1, height, width, 3), manifest.output.name, shape)


class TensorRtScorer(OnnxCpuScorer):
    """Scores fields as `OnnxCpuScorer` does, on the GPU; `score` may be called from any one thread.

    plan: built from the package for frames of this size (`engines.tensorrt.build`). Raises EngineRefused, CudaError.
    """

    def __init__(self, package: EnginePackage, plan: bytes, frame: FrameSize, cuda: CudaApi) -> None:
        self._gpu = GpuThread(cuda)
        try:
            self._engine = TensorRtNetwork(plan, signature(package, frame), self._gpu)
        except BaseException:
            self._gpu.close()
            raise
        how = "CUDA graphs" if self._engine.graphs else "no CUDA graphs"
        runtime = f"TensorRT {trt.__version__}, {self._engine.layers}, {how}"
        digest = hashlib.sha256(plan).hexdigest()
        onnx = package.manifest.onnx.sha256
        backend = BackendInfo(KIND, package.title, onnx, runtime, variant="built here", derived_sha256=digest)
        self._take(package, self._engine, backend)

    def close(self) -> None:
        """Free the engine and the GPU; safe to call twice."""
        super().close()
        self._engine.close()
        self._gpu.close()
