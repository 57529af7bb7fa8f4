"""FP32 ONNX → one INT8 ONNX with explicit quantisation, by rules that TensorRT and ONNX Runtime both accept.

Inputs of convolutions are quantised (activations per tensor, weights per output channel), symmetric, signed, zero
point 0; outputs, biases and activation functions are left alone. Source of the rules: TensorRT developer guide,
explicit quantisation. Scales are measured on real pictures; without any there is no quantisation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from engines.errors import EngineError

SCHEME = "s8-symmetric-qdq"
CALIBRATION_KEY = "calibration_sha256"
_BINS = 2048
_LEVELS = 127


@dataclass(frozen=True)
class Calibration:
    """What the scales were measured on: number of pictures, and a digest over their pixels in order."""

    images: int
    sha256: str


def quantize(
    model: onnx.ModelProto, pictures: Sequence[NDArray[np.uint8]], *, minimum: int = 8
) -> tuple[onnx.ModelProto, Calibration]:
    """The model with explicit INT8 quantisation of every convolution, and what it was calibrated on.

    model: FP32, one uint8 NHWC input. pictures: real or rendered fields, uint8 RGB (H, W, 3), none seen in training.
    Raises EngineError when there are fewer than `minimum` pictures, when they hold nothing, or when the model has no
    convolution with constant weights: scales that are guessed give a network nobody has tested.
    """
    _require_pictures(pictures, minimum)
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    weights = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    if not convolutions or any(node.input[1] not in weights for node in convolutions):
        raise EngineError(
            "The network has no convolution with constant weights.",
            remedy="Export an FP32 ONNX with constants folded.",
        )
    scales = _activation_scales(model, sorted({node.input[0] for node in convolutions}), pictures)
    calibration = Calibration(len(pictures), _digest(pictures))
    return _insert(model, convolutions, weights, scales, calibration), calibration


def _require_pictures(pictures: Sequence[NDArray[np.uint8]], minimum: int) -> None:
    if len(pictures) < minimum:
        raise EngineError(
            f"{len(pictures)} calibration pictures were given; at least {minimum} are needed.",
            remedy="Give real fields of the assay, some of them blank and out of focus.",
        )
    if all(int(np.ptp(picture)) == 0 for picture in pictures):
        raise EngineError(
            "The calibration pictures are all of one colour.",
            remedy="Give real fields of the assay, some of them blank and out of focus.",
        )


def _digest(pictures: Sequence[NDArray[np.uint8]]) -> str:
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(repr(picture.shape).encode())
        digest.update(np.ascontiguousarray(picture).tobytes())
    return digest.hexdigest()


def _activation_scales(
    model: onnx.ModelProto, tensors: list[str], pictures: Sequence[NDArray[np.uint8]]
) -> dict[str, float]:
    """Step size of each tensor: the clip that loses least in the mean square over the calibration pictures."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in tensors)
    session = onnxruntime.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
    feed_name = model.graph.input[0].name
    highest = dict.fromkeys(tensors, 0.0)
    integral = dict.fromkeys(tensors, True)
    for picture in pictures:
        for name, value in zip(tensors, session.run(tensors, {feed_name: picture[np.newaxis]}), strict=True):
            highest[name] = max(highest[name], float(np.abs(value).max()))
            integral[name] &= bool((value == np.rint(value)).all())
    counts = {name: np.zeros(_BINS, np.int64) for name in tensors}
    for picture in pictures:
        for name, value in zip(tensors, session.run(tensors, {feed_name: picture[np.newaxis]}), strict=True):
            top = highest[name] or 1.0
            counts[name] += np.histogram(np.abs(value), bins=_BINS, range=(0.0, top))[0]
    return {
        name: 1.0 if integral[name] and highest[name] <= _LEVELS + 1 else _best_scale(counts[name], highest[name])
        for name in tensors
    }


def _best_scale(counts: NDArray[np.int64], highest: float) -> float:
    """Step with the least mean square error for values whose magnitudes have histogram `counts` over [0, highest]."""
    if highest <= 0.0:
        return 1.0
    centres = (np.arange(counts.size) + 0.5) * (highest / counts.size)
    best, least = highest / _LEVELS, np.inf
    for share in np.linspace(0.1, 1.0, 91):
        scale = share * highest / _LEVELS
        back = np.minimum(np.rint(centres / scale), _LEVELS) * scale
        error = float((counts * (back - centres) ** 2).sum())
        if error < least:
            best, least = scale, error
    return float(best)


def _insert(
    model: onnx.ModelProto,
    convolutions: list[onnx.NodeProto],
    weights: dict[str, NDArray[np.float32]],
    scales: dict[str, float],
    calibration: Calibration,
) -> onnx.ModelProto:
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    wanted = {node.name for node in convolutions}
    nodes: list[onnx.NodeProto] = []
    added: list[onnx.TensorProto] = []
    ready: set[str] = set()
    replaced: set[str] = set()
    for node in graph.node:
        if node.name in wanted:
            if node.input[0] not in ready:
                ready.add(node.input[0])
                pair, constants = _activation_pair(node.input[0], scales[node.input[0]])
                nodes += pair
                added += constants
            if node.input[1] not in replaced:
                replaced.add(node.input[1])
                pair, constants = _weight_dequantiser(node.input[1], weights[node.input[1]])
                nodes += pair
                added += constants
            node.input[0] = f"{node.input[0]}_dq"
            node.input[1] = f"{node.input[1]}_dq"
        nodes.append(node)
    kept = [i for i in graph.initializer if i.name not in replaced]
    fresh = helper.make_graph(nodes, graph.name, graph.input, graph.output, [*kept, *added])
    result.graph.CopyFrom(fresh)
    helper.set_model_props(result, {CALIBRATION_KEY: calibration.sha256, "scheme": SCHEME})
    onnx.checker.check_model(result, full_check=True)
    return result


def _activation_pair(tensor: str, scale: float) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    constants = [
        numpy_helper.from_array(np.float32(scale), f"{tensor}_scale"),
        numpy_helper.from_array(np.int8(0), f"{tensor}_zero"),
    ]
    tail = [f"{tensor}_scale", f"{tensor}_zero"]
    nodes = [
        helper.make_node("QuantizeLinear", [tensor, *tail], [f"{tensor}_q"], f"{tensor}_quantize"),
        helper.make_node("DequantizeLinear", [f"{tensor}_q", *tail], [f"{tensor}_dq"], f"{tensor}_dequantize"),
    ]
    return nodes, constants


def _weight_dequantiser(
    tensor: str, weight: NDArray[np.float32]
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    flat = np.abs(weight.reshape(weight.shape[0], -1)).max(axis=1)
    scale = (np.maximum(flat, np.finfo(np.float32).tiny * 1e3) / _LEVELS).astype(np.float32)
    steps = np.rint(weight / scale.reshape(-1, *[1] * (weight.ndim - 1)))
    constants = [
        numpy_helper.from_array(np.clip(steps, -_LEVELS, _LEVELS).astype(np.int8), f"{tensor}_q"),
        numpy_helper.from_array(scale, f"{tensor}_scale"),
        numpy_helper.from_array(np.zeros(scale.shape, np.int8), f"{tensor}_zero"),
    ]
    names = [f"{tensor}_q", f"{tensor}_scale", f"{tensor}_zero"]
    return [helper.make_node("DequantizeLinear", names, [f"{tensor}_dq"], f"{tensor}_dequantize", axis=0)], constants
