"""Checks that an INT8 ONNX file keeps to the explicit-quantisation rules both runtimes share.

Source of the rules: TensorRT developer guide, explicit quantisation, and ONNX Runtime's quantisation notes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto

from engines import qdq_placement as placement
from engines.qdq_view import View, attribute
from engines.quantize import CALIBRATION_KEY

_OPSETS = range(13, 18)
_QUANTISERS = ("QuantizeLinear", "DequantizeLinear")
_ALLOWED = frozenset({
    "Add", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Conv", "DequantizeLinear", "Div", "Flatten",
    "Gather", "Gemm", "GlobalAveragePool", "Identity", "MatMul", "MaxPool", "Mul", "Pad", "QuantizeLinear",
    "ReduceMean", "Relu", "Reshape", "Resize", "Sigmoid", "Slice", "Softmax", "Squeeze", "Sub", "Transpose",
    "Unsqueeze",
})  # fmt: skip
"""Operators of convolutional networks that TensorRT 10.3 parses and ONNX Runtime 1.23 runs on a processor."""
_SPATIAL = {"NHWC": (1, 2), "NCHW": (2, 3)}


@dataclass(frozen=True)
class Breach:
    """A rule that is broken: its short name, and where and how."""

    rule: str
    what: str


def lint(model: onnx.ModelProto) -> list[Breach]:
    """Every breach in `model`; an empty list means that TensorRT and ONNX Runtime may both run it as INT8."""
    view = View.of(model)
    return [Breach(name, what) for name, rule in RULES.items() for what in rule(view)]


def _zero_points(view: View) -> Iterator[str]:
    """1: every zero point is a constant int8 0."""
    for node in view.nodes(*_QUANTISERS):
        zero = view.constants.get(node.input[2]) if len(node.input) > 2 else None
        if zero is None or zero.dtype != np.int8 or bool(np.any(zero != 0)):
            yield f"{node.name}: the zero point must be a constant int8 0"


def _scales(view: View) -> Iterator[str]:
    """2: every scale is constant, finite, above zero and no denormal number; of activations, one a tensor."""
    smallest = np.finfo(np.float32).tiny
    for node in view.nodes(*_QUANTISERS):
        scale = view.step(node)
        if scale is None or not bool(np.all(np.isfinite(scale))) or bool(np.any(scale < smallest)):
            yield f"{node.name}: the scale must be constant, finite and above zero"
        elif scale.size != 1 and not view.is_weight(node):
            yield f"{node.name}: activations are quantised with one scale a tensor"


def _weights(view: View) -> Iterator[str]:
    """3: weights have one scale an output channel and lie within -127 to 127."""
    for node in view.nodes("DequantizeLinear"):
        values = view.constants.get(node.input[0])
        if values is None:
            continue
        if values.dtype != np.int8 or int(values.astype(np.int32).min(initial=0)) < -127:
            yield f"{node.name}: quantised weights are int8 from -127 to 127"
        axis, scale = attribute(node, "axis", 1), view.step(node)
        for reader in view.readers(node.output[0]):
            channel = _output_axis(reader)
            if axis != channel or scale is None or scale.shape != values.shape[channel : channel + 1]:
                yield f"{node.name}: weights of {reader.op_type} are quantised per output channel, along axis {channel}"


def _output_axis(node: onnx.NodeProto) -> int:
    """Where the output channels of a weighted operator's weights lie."""
    transposed = node.op_type == "Gemm" and attribute(node, "transB", 0) == 1
    return 0 if node.op_type == "Conv" or transposed else 1


def _float_bias(view: View) -> Iterator[str]:
    """8: biases are constant and float32."""
    for node in view.nodes("Conv", "Gemm"):
        bias = view.constants.get(node.input[2]) if len(node.input) > 2 and node.input[2] else np.zeros(1, np.float32)
        if bias is None or bias.dtype != np.float32:
            yield f"{node.name}: the bias stays float32 and constant"


def _ports(view: View) -> Iterator[str]:
    """9: no int8 tensor enters or leaves."""
    for port in (*view.model.graph.input, *view.model.graph.output):
        if port.type.tensor_type.elem_type == TensorProto.INT8:
            yield f"{port.name}: no INT8 tensor enters or leaves the network"


def _opset(view: View) -> Iterator[str]:
    """10: the operator set is one that both parsers read."""
    versions = [entry.version for entry in view.model.opset_import if entry.domain in {"", "ai.onnx"}]
    if len(versions) != 1 or versions[0] not in _OPSETS:
        yield f"opset {versions}: between {_OPSETS.start} and {_OPSETS.stop - 1} both runtimes read it"


def _shapes(view: View) -> Iterator[str]:
    """11: shapes are fixed, but for height and width of the picture and of the maps, which then have names.

    A fully convolutional network takes any field, and TensorRT is given the camera's frame as the one profile when the
    engine is built. Number of dimensions, batch and channels are fixed in the file; no Reshape computes its shape.
    """
    for port, layout in [(p, "NHWC") for p in view.model.graph.input] + [(p, "NCHW") for p in view.model.graph.output]:
        shape = port.type.tensor_type.shape.dim
        if not shape:
            yield f"{port.name}: its number of dimensions is not known"
        for place, size in enumerate(shape):
            named = bool(size.dim_param) and len(shape) == 4 and place in _SPATIAL[layout]
            if not (size.dim_value > 0 or named):
                yield f"{port.name}: dimension {place} is neither fixed nor a named height or width of a picture"
    for node in view.nodes("Reshape", "Resize", "Slice", "Pad"):
        if any(name and name not in view.constants for name in node.input[1:]):
            yield f"{node.name}: the shape that {node.op_type} gives is computed, not constant"


def _operators(view: View) -> Iterator[str]:
    """12: only operators known to run on both."""
    for node in view.model.graph.node:
        if node.op_type not in _ALLOWED or node.domain not in {"", "ai.onnx"}:
            yield f"{node.name}: operator {node.domain}{node.op_type} has not been tried on both runtimes"


def _calibration(view: View) -> Iterator[str]:
    """16: the file says what it was calibrated on."""
    digests = [entry.value for entry in view.model.metadata_props if entry.key == CALIBRATION_KEY]
    if len(digests) != 1 or len(digests[0]) != 64:
        yield f"the metadata must carry {CALIBRATION_KEY}, the digest of the calibration pictures"


RULES: dict[str, Callable[[View], Iterator[str]]] = {
    "zero-point": _zero_points,
    "scale": _scales,
    "weights": _weights,
    "both-operands": placement.both_operands,
    "no-quantised-output": placement.no_quantised_output,
    "no-sandwich": placement.no_sandwich,
    "residual": placement.residual,
    "float-bias": _float_bias,
    "ports": _ports,
    "opset": _opset,
    "shapes": _shapes,
    "operators": _operators,
    "gates": placement.gates,
    "dead": placement.dead,
    "one-scale": placement.one_scale,
    "calibration": _calibration,
}
