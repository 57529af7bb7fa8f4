"""Run an engine package on an x86 processor with OpenVINO, where it is installed and measured to be faster."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import platform
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import BadPackage, EngineError
from engines.network import Network
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import EnginePackage
from engines.scorer import BackendInfo

KIND = "openvino_cpu"


def installed() -> bool:
    """Whether OpenVINO can be used here."""
    return platform.machine() in {"x86_64", "AMD64"} and importlib.util.find_spec("openvino") is not None


def version() -> str:
    """Version of the installed OpenVINO."""
    return importlib.metadata.version("openvino")


class OpenVinoNetwork(Network):
    """The shipped file in OpenVINO, compiled for one size of picture at a time: a device has one camera."""

    def __init__(self, package: EnginePackage, threads: int) -> None:
        """Open the package's network. Raises EngineError without OpenVINO, BadPackage when it cannot read the file."""
        if not installed():
            raise EngineError(
                "OpenVINO is not installed, or this is no x86 processor.",
                remedy="Install it with: pip install 'cytoscan-appliance[openvino]', or use ONNX Runtime.",
            )
        self._openvino: Any = importlib.import_module("openvino")
        self._package = package
        self._threads = threads
        self._request: Any = None
        self._shape: tuple[int, ...] = ()
        model = self._read()
        found = [
            (str(p.get_any_name()), p.element_type.to_dtype(), p.partial_shape.rank.get_length()) for p in model.inputs
        ]
        if found != [(package.manifest.input.name, np.dtype(np.uint8), 4)] or len(model.outputs) != 1:
            raise BadPackage(
                f"The network of {package.title} has inputs {found} and {len(model.outputs)} outputs; a package's "
                f"network reads one uint8 NHWC picture named {package.manifest.input.name!r} and gives one answer.",
                remedy="Export the network with uint8 NHWC input and normalisation inside.",
            )

    def run(self, picture: NDArray[np.uint8], input_name: str, output_name: str) -> NDArray[np.float32]:
        """Answer (1, labels, h, w) on `picture` (1, H, W, 3)."""
        if picture.shape != self._shape:
            self._request = self._compile(picture.shape)
            self._shape = picture.shape
        self._request.infer({input_name: picture})
        return np.array(self._request.get_tensor(output_name).data, np.float32)

    def _read(self) -> Any:  # noqa: ANN401 - OpenVINO has no types
        try:
            return self._openvino.Core().read_model(self._package.onnx_bytes)
        except RuntimeError as error:
            raise self._unreadable(error) from error

    def _compile(self, shape: tuple[int, ...]) -> Any:  # noqa: ANN401 - OpenVINO has no types
        """float32 where the file is not INT8, also on processors with bfloat16: probabilities need their digits."""
        model = self._read()
        options = {
            "INFERENCE_NUM_THREADS": self._threads,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        }
        try:
            model.reshape(list(shape))
            return self._openvino.Core().compile_model(model, "CPU", options).create_infer_request()
        except RuntimeError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: RuntimeError) -> BadPackage:
        why = (str(error).strip().splitlines() or [type(error).__name__])[-1][:200]
        return BadPackage(
            f"The network of {self._package.title} cannot be run by OpenVINO: {why}",
            remedy="Use ONNX Runtime for this package.",
        )


class OpenVinoScorer(OnnxCpuScorer):
    """Scores fields as `OnnxCpuScorer` does, with OpenVINO in place of ONNX Runtime."""

    def __init__(self, package: EnginePackage, *, threads: int = 1) -> None:
        network = OpenVinoNetwork(package, threads)
        backend = BackendInfo(KIND, package.title, package.manifest.onnx.sha256, f"openvino {version()} CPU, as is")
        self._take(package, network, backend)
