"""FP32 ONNX → one INT8 ONNX with explicit quantisation, by rules that TensorRT and ONNX Runtime both accept.

Activations are quantised per tensor, weights per output channel, symmetric, signed, zero point 0; biases stay float,
in whole steps of (input's step x weights' step), so that a runtime that keeps them as integers says the same.
Where Q/DQ pairs go is `engines.qdq_plan`; what comes before is `engines.float_network` and `engines.equalize`, and last
`engines.weight_fitting`. Scales are measured on real pictures; without any there is no quantisation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from engines.activation_scales import LEVELS, measure_scales
from engines.calibration import MINIMUM, Calibration, identify, require_pictures
from engines.cpu_rewrite.branches import BRANCH_KEY
from engines.equalize import equalize
from engines.errors import EngineError
from engines.float_network import constants_of, prepare
from engines.qdq_plan import WEIGHTED, Plan, plan
from engines.weight_fitting import fit_weights

SCHEME = "s8-symmetric-qdq"
CALIBRATION_KEY = "calibration_sha256"
_INT32_SHARE = 2.0**30
_PLAIN_GEMM = "Export the layer as y = x W + b."


def quantize(
    model: onnx.ModelProto, pictures: Sequence[NDArray[np.uint8]], *, minimum: int = MINIMUM
) -> tuple[onnx.ModelProto, Calibration]:
    """The model with explicit INT8 quantisation of every weighted operator, and what it was calibrated on.

    model: FP32, one uint8 NHWC input. pictures: real or rendered fields, uint8 RGB (H, W, 3), none seen in training.
    The metadata carry the calibration digest, and as JSON the scales of the tensors that stay float into an Add.
    Raises EngineError when the pictures will not do (`engines.calibration`), or the network is not one of constant
    weights in FP32: scales that are guessed give a network nobody has tested.
    """
    require_pictures(pictures, minimum)
    folded = equalize(_plain_gemms(prepare(model)), pictures)
    weights = constants_of(folded)
    where = plan(folded.graph, weights)
    scales = measure_scales(folded, where.group_of, pictures)
    calibration = identify(pictures)
    inserted = _insert(folded, where, weights, scales, calibration)
    return fit_weights(inserted, folded, pictures), calibration


@dataclass
class _Written:
    """The graph being written: nodes and constants in order, and which tensors already have their pair."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    done: set[str] = field(default_factory=set)

    def dequantised(self, tensor: str, made: tuple[list[onnx.NodeProto], list[onnx.TensorProto]]) -> str:
        """Name of `tensor` after its Q/DQ, whose nodes and constants are `made`; written once."""
        if tensor not in self.done:
            self.done.add(tensor)
            self.nodes += made[0]
            self.constants += made[1]
        return f"{tensor}_dq"


def _insert(
    model: onnx.ModelProto,
    where: Plan,
    weights: Mapping[str, NDArray[np.generic]],
    scales: Mapping[str, float],
    calibration: Calibration,
) -> onnx.ModelProto:
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    finest = _finest_scales(graph, weights, scales)
    written = _Written()
    for index, node in enumerate(graph.node):
        read = node.input[0]
        for operand in range(len(node.input)):
            tensor = node.input[operand]
            if (index, operand) in where.reads:
                node.input[operand] = written.dequantised(tensor, _activation_pair(tensor, scales[tensor]))
        if node.op_type in WEIGHTED:
            tensor, axis = node.input[1], 1 if node.op_type == "MatMul" else 0
            made = _weight_dequantiser(tensor, weights[tensor], finest[tensor], axis)
            node.input[1] = written.dequantised(tensor, made)
            if len(node.input) > 2 and node.input[2]:
                step = scales[read] * numpy_helper.to_array(made[1][1]).astype(np.float64)
                bias = (np.rint(weights[node.input[2]] / step) * step).astype(np.float32)
                node.input[2] = f"{node.output[0]}_bias"
                written.constants.append(numpy_helper.from_array(bias, node.input[2]))
        written.nodes.append(node)
    used = {name for node in written.nodes for name in node.input}
    kept = [i for i in graph.initializer if i.name in used]
    fresh = helper.make_graph(written.nodes, graph.name, graph.input, graph.output, [*kept, *written.constants])
    result.graph.CopyFrom(fresh)
    properties = {CALIBRATION_KEY: calibration.sha256, "scheme": SCHEME}
    if where.branches:
        properties[BRANCH_KEY] = json.dumps({name: scales[name] for name in where.branches}, sort_keys=True)
    helper.set_model_props(result, properties)
    onnx.checker.check_model(result, full_check=True)
    return result


def _plain_gemms(model: onnx.ModelProto) -> onnx.ModelProto:
    """Every Gemm as x W^T + b with factors in the constants, so that output channels lie along axis 0."""
    constants = constants_of(model)
    fresh: list[onnx.TensorProto] = []
    for node in model.graph.node:
        if node.op_type != "Gemm" or any(name not in constants for name in node.input[1:]):
            continue
        given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if given.get("transA"):
            raise EngineError(f"Gemm {node.name} transposes its input.", remedy=_PLAIN_GEMM)
        weight = constants[node.input[1]] * np.float32(given.get("alpha", 1.0))
        weight = weight if given.get("transB") else weight.T
        fresh.append(numpy_helper.from_array(np.ascontiguousarray(weight, np.float32), f"{node.name}_weight"))
        node.input[1] = fresh[-1].name
        if len(node.input) > 2:
            bias = constants[node.input[2]] * np.float32(given.get("beta", 1.0))
            full = np.broadcast_to(bias.reshape(-1), weight.shape[:1]).astype(np.float32)
            fresh.append(numpy_helper.from_array(full, f"{node.name}_bias"))
            node.input[2] = fresh[-1].name
        del node.attribute[:]
        node.attribute.append(helper.make_attribute("transB", 1))
    model.graph.initializer.extend(fresh)
    return model


def _finest_scales(
    graph: onnx.GraphProto, weights: Mapping[str, NDArray[np.generic]], scales: Mapping[str, float]
) -> dict[str, NDArray[np.float32]]:
    """Smallest step of each weight tensor's channels, (channels,): a finer one would not leave the bias in int32.

    A runtime may keep the bias in steps of (input's step x weights' step). Dead channels have tiny weights and a bias.
    """
    finest: dict[str, NDArray[np.float32]] = {}
    for node in graph.node:
        if node.op_type in WEIGHTED:
            weight = weights[node.input[1]]
            channels = weight.shape[1 if node.op_type == "MatMul" else 0]
            bias = np.abs(weights[node.input[2]]) if len(node.input) > 2 and node.input[2] else np.zeros(channels)
            needed = (bias / (scales[node.input[0]] * _INT32_SHARE)).astype(np.float32)
            finest[node.input[1]] = np.maximum(finest.get(node.input[1], needed), needed)
    return finest


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
    tensor: str, weight: NDArray[np.generic], finest: NDArray[np.float32], axis: int
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    others = tuple(i for i in range(weight.ndim) if i != axis)
    largest = np.abs(weight).max(axis=others)
    scale = np.maximum(np.maximum(largest, np.finfo(np.float32).tiny * 1e3) / LEVELS, finest).astype(np.float32)
    steps = np.rint(weight / np.expand_dims(scale, others))
    constants = [
        numpy_helper.from_array(np.clip(steps, -LEVELS, LEVELS).astype(np.int8), f"{tensor}_q"),
        numpy_helper.from_array(scale, f"{tensor}_scale"),
        numpy_helper.from_array(np.zeros(scale.shape, np.int8), f"{tensor}_zero"),
    ]
    names = [f"{tensor}_q", f"{tensor}_scale", f"{tensor}_zero"]
    node = helper.make_node("DequantizeLinear", names, [f"{tensor}_dq"], f"{tensor}_dequantize", axis=axis)
    return [node], constants
