"""Checks that an INT8 ONNX file keeps to the explicit-quantisation rules both runtimes share.

Source of the rules: TensorRT developer guide, explicit quantisation, and ONNX Runtime's quantisation notes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from engines.quantize import CALIBRATION_KEY

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_OPSETS = range(13, 18)
_ALLOWED = frozenset({"Transpose", "Cast", "Sub", "Conv", "Relu", "Sigmoid", "QuantizeLinear", "DequantizeLinear"})


@dataclass(frozen=True)
class Breach:
    """A rule that is broken: its short name, and where and how."""

    rule: str
    what: str


@dataclass(frozen=True)
class _View:
    """A model indexed for the checks."""

    model: onnx.ModelProto
    constants: dict[str, NDArray[np.generic]]
    producer: dict[str, onnx.NodeProto]
    consumers: dict[str, list[onnx.NodeProto]]

    def nodes(self, *kinds: str) -> Iterator[onnx.NodeProto]:
        return (node for node in self.model.graph.node if node.op_type in kinds)


def lint(model: onnx.ModelProto) -> list[Breach]:
    """Every breach in `model`; an empty list means that TensorRT and ONNX Runtime may both run it as INT8."""
    producer = {name: node for node in model.graph.node for name in node.output}
    consumers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    view = _View(model, constants, producer, consumers)
    return [Breach(name, what) for name, rule in _RULES.items() for what in rule(view)]


def _zero_points(view: _View) -> Iterator[str]:
    for node in view.nodes("QuantizeLinear", "DequantizeLinear"):
        zero = view.constants.get(node.input[2]) if len(node.input) > 2 else None
        if zero is None or zero.dtype != np.int8 or bool(np.any(zero != 0)):
            yield f"{node.name}: the zero point must be a constant int8 0"


def _scales(view: _View) -> Iterator[str]:
    for node in view.nodes("QuantizeLinear", "DequantizeLinear"):
        scale = view.constants.get(node.input[1])
        smallest = np.finfo(np.float32).tiny
        if scale is None or not bool(np.all(np.isfinite(scale))) or bool(np.any(scale <= smallest)):
            yield f"{node.name}: the scale must be constant, finite and above zero"
        elif node.op_type == "QuantizeLinear" and scale.size != 1:
            yield f"{node.name}: activations are quantised with one scale a tensor"


def _weights(view: _View) -> Iterator[str]:
    for node in view.nodes("DequantizeLinear"):
        values = view.constants.get(node.input[0])
        if values is None:
            continue
        scale = view.constants.get(node.input[1])
        axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
        if scale is None or axis != 0 or scale.shape != values.shape[:1]:
            yield f"{node.name}: weights are quantised per output channel, along axis 0"
        if values.dtype != np.int8 or int(values.astype(np.int32).min()) < -127:
            yield f"{node.name}: quantised weights are int8 from -127 to 127"


def _both_operands(view: _View) -> Iterator[str]:
    for node in view.nodes(*_WEIGHTED):
        quantised = [_is(view.producer.get(name), "DequantizeLinear") for name in node.input[:2]]
        if not all(quantised):
            yield f"{node.name}: both the input and the weights of a {node.op_type} must be quantised"


def _no_quantised_output(view: _View) -> Iterator[str]:
    for node in view.nodes(*_WEIGHTED):
        if any(_is(user, "QuantizeLinear") for user in view.consumers.get(node.output[0], [])):
            yield f"{node.name}: the output of a {node.op_type} is not quantised directly"


def _no_sandwich(view: _View) -> Iterator[str]:
    for node in view.nodes("Relu", "Clip"):
        if _is(view.producer.get(node.input[0]), "DequantizeLinear"):
            yield f"{node.name}: an activation function between quantised tensors keeps it from being fused"


def _float_bias(view: _View) -> Iterator[str]:
    for node in view.nodes("Conv", "ConvTranspose", "Gemm"):
        if len(node.input) > 2:
            bias = view.constants.get(node.input[2])
            if bias is None or bias.dtype != np.float32:
                yield f"{node.name}: the bias stays float32 and constant"


def _ports(view: _View) -> Iterator[str]:
    for port in (*view.model.graph.input, *view.model.graph.output):
        if port.type.tensor_type.elem_type == TensorProto.INT8:
            yield f"{port.name}: no INT8 tensor enters or leaves the network"


def _opset(view: _View) -> Iterator[str]:
    versions = [entry.version for entry in view.model.opset_import if entry.domain in {"", "ai.onnx"}]
    if len(versions) != 1 or versions[0] not in _OPSETS:
        yield f"opset {versions}: between {_OPSETS.start} and {_OPSETS.stop - 1} both runtimes read it"


def _operators(view: _View) -> Iterator[str]:
    for node in view.model.graph.node:
        if node.op_type not in _ALLOWED or node.domain not in {"", "ai.onnx"}:
            yield f"{node.name}: operator {node.domain}{node.op_type} has not been tried on both runtimes"


def _dead(view: _View) -> Iterator[str]:
    outputs = {port.name for port in view.model.graph.output}
    for node in view.nodes("QuantizeLinear", "DequantizeLinear"):
        if node.output[0] not in outputs and not view.consumers.get(node.output[0]):
            yield f"{node.name}: its output is used by nobody"


def _calibration(view: _View) -> Iterator[str]:
    digests = [entry.value for entry in view.model.metadata_props if entry.key == CALIBRATION_KEY]
    if len(digests) != 1 or len(digests[0]) != 64:
        yield f"the metadata must carry {CALIBRATION_KEY}, the digest of the calibration pictures"


def _is(node: onnx.NodeProto | None, kind: str) -> bool:
    return node is not None and node.op_type == kind


_RULES: dict[str, Callable[[_View], Iterator[str]]] = {
    "zero-point": _zero_points,
    "scale": _scales,
    "weights": _weights,
    "both-operands": _both_operands,
    "no-quantised-output": _no_quantised_output,
    "no-sandwich": _no_sandwich,
    "float-bias": _float_bias,
    "ports": _ports,
    "opset": _opset,
    "operators": _operators,
    "dead": _dead,
    "calibration": _calibration,
}
