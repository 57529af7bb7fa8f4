"""Run an engine package on the processor with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray

from engines.cpu_network import CpuNetwork, Variant, default_variant
from engines.decode import LabelMap, decode
from engines.errors import BadInput, BadPackage, EngineError
from engines.network import Network
from engines.ort_errors import ORT_ERRORS
from engines.package import EnginePackage
from engines.scorer import BackendInfo, Detection, Detections, Scorer
from engines.tiles import tiled_maps

_UNREADABLE = (DecodeError, *ORT_ERRORS)


class OnnxCpuScorer(Scorer):
    """Scores fields with one package.

    threads: processor cores the network may use. Idle threads do not spin, so that the stage and the camera are
    served meanwhile. variant: which form of the file runs; default: what suits the architecture.
    """

    def __init__(self, package: EnginePackage, *, threads: int = 1, variant: Variant | None = None) -> None:
        network = _open(package, variant or default_variant(), threads)
        backend = BackendInfo(
            "onnx_cpu",
            package.title,
            package.manifest.onnx.sha256,
            f"onnxruntime {onnxruntime.__version__} CPU, {network.title}",
            variant=network.variant.value,
            derived_sha256=network.derived_sha256,
        )
        self._take(package, network, backend)

    def _take(self, package: EnginePackage, network: Network, backend: BackendInfo) -> None:
        self._package = package
        self._network: Network | None = network
        self._backend = backend

    @property
    def backend(self) -> BackendInfo:
        """Which engine and runtime answer."""
        return self._backend

    @property
    def threshold(self) -> float:
        """Probability from which a detection counts as a finding: the package's operating point."""
        return self._package.manifest.operating_point.threshold

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probability maps (labels, ceil(H / stride), ceil(W / stride)) of uint8 RGB `image` (H, W, 3).

        Raises BadInput when the image is of another type or shape, EngineError when the scorer is closed.
        """
        return self.start(image)()

    def start(self, image: NDArray[np.uint8]) -> Callable[[], NDArray[np.float32]]:
        """Start on a picture; what is returned waits for its `probabilities`. See `engines.scorer.Scorer.begin`."""
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise BadInput(
                f"The frame is {image.dtype} {image.shape}; {self._package.title} reads uint8 RGB (H, W, 3).",
                remedy="Check the camera's pixel format in the settings.",
            )
        manifest = self._package.manifest
        if manifest.tiling is not None:
            maps = tiled_maps(lambda tile: self._answer(tile)(), image, manifest.tiling, manifest.output.stride)
            return lambda: maps
        return self._answer(image)

    def begin(self, image: NDArray[np.uint8], um_per_px: float) -> Detections:
        """Start on one field, whose detections are those down to the package's report_threshold.

        image: uint8 RGB (H, W, 3); um_per_px: its scale. Raises BadInput for another shape, type or scale.
        """
        scale = self._package.manifest.scale
        if not scale.min_um_per_px <= um_per_px <= scale.max_um_per_px:
            raise BadInput(
                f"The frame has {um_per_px:.4g} µm/px; the engine {self._package.title} was made for "
                f"{scale.min_um_per_px:.4g} to {scale.max_um_per_px:.4g} µm/px.",
                remedy="Use the magnification the engine was made for, or an engine made for this one.",
            )
        maps = self.start(image)
        return lambda: self._detections(maps(), um_per_px)

    def _detections(self, maps: NDArray[np.float32], um_per_px: float) -> list[Detection]:
        manifest = self._package.manifest
        labels = [
            LabelMap(
                label.name,
                label.target,
                label.box_um[0] / um_per_px,
                label.box_um[1] / um_per_px,
                label.separation_um / um_per_px,
            )
            for label in manifest.labels
        ]
        return decode(
            maps,
            labels,
            manifest.output.stride,
            report_threshold=manifest.report_threshold,
            finding_threshold=manifest.operating_point.threshold,
        )

    def _answer(self, image: NDArray[np.uint8]) -> Callable[[], NDArray[np.float32]]:
        """What waits for what the network says of one picture of a size it takes."""
        if self._network is None:
            raise EngineError(f"The engine {self._package.title} is closed.", remedy="Open it again.")
        manifest = self._package.manifest
        picture = np.ascontiguousarray(image)[np.newaxis]
        answer = self._network.start(picture, manifest.input.name, manifest.output.name)
        return lambda: answer()[0]

    def close(self) -> None:
        """Free the runtime; safe to call twice."""
        self._network = None


def _open(package: EnginePackage, variant: Variant, threads: int) -> CpuNetwork:
    try:
        network = CpuNetwork(package.onnx_bytes, variant, threads)
    except _UNREADABLE as error:
        why = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise BadPackage(
            f"The network of {package.title} cannot be read by ONNX Runtime: {why}",
            remedy="Fetch the package again from where it was released.",
        ) from error
    _check_signature(package, network.session)
    return network


def _check_signature(package: EnginePackage, session: onnxruntime.InferenceSession) -> None:
    manifest = package.manifest
    inputs = [(i.name, i.type, len(i.shape), i.shape[-1:]) for i in session.get_inputs()]
    if inputs != [(manifest.input.name, "tensor(uint8)", 4, [3])]:
        raise BadPackage(
            f"The network of {package.title} has inputs {inputs}; a package's network reads one uint8 NHWC picture "
            f"named {manifest.input.name!r}.",
            remedy="Export the network with uint8 NHWC input and normalisation inside.",
        )
    outputs = [(o.name, o.type, o.shape[1:2]) for o in session.get_outputs()]
    if outputs != [(manifest.output.name, "tensor(float)", [len(manifest.labels)])]:
        raise BadPackage(
            f"The network of {package.title} has outputs {outputs}; the manifest promises {manifest.output.name!r} "
            f"with {len(manifest.labels)} float channels.",
            remedy="Make the manifest and the network agree: one channel for each label, in order.",
        )
