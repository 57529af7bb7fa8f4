"""Run an engine package on the GPU with the engine that TensorRT built of it on this device."""

from __future__ import annotations

import hashlib

import tensorrt as trt

from engines.cuda.api import CudaApi
from engines.cuda.gpu_thread import GpuThread
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import EnginePackage
from engines.scorer import BackendInfo
from engines.tensorrt.network import TensorRtNetwork
from engines.tensorrt.signature import FrameSize, signature

KIND = "tensorrt"


class TensorRtScorer(OnnxCpuScorer):
    """Scores fields as `OnnxCpuScorer` does, on the GPU.

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
