"""Convolutions on integers: int32 biases where the result is quantised, integer matrix products where it is not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from engines.cpu_rewrite.graph import Array, Graph, attribute, integers

_BIAS_LIMIT = 2.0**30
"""Largest bias in steps; beyond, the channel's weights take a coarser step, which is lost beside such a bias."""


@dataclass(frozen=True)
class Operands:
    """What a quantised convolution or matrix product reads.

    codes: name of the activation's code tensor; step, zero: how it is read. weight: int8 (out, …); steps: (out,).
    bias: (out,) float64, zeros where the node has none.
    """

    codes: str
    step: float
    zero: Array
    weight: NDArray[np.int8]
    steps: NDArray[np.float64]
    bias: NDArray[np.float64]

    def integer_bias(self) -> NDArray[np.int32]:
        """The bias in steps of the products."""
        return np.rint(self.bias / (self.step * self.steps)).astype(np.int32)


def operands(graph: Graph, node: onnx.NodeProto) -> Operands | None:
    """The operands of a weighted node whose input and constant weights are both quantised; None otherwise."""
    data, weight = (graph.maker(name) for name in node.input[:2])
    if data is None or weight is None or {data.op_type, weight.op_type} != {"DequantizeLinear"}:
        return None
    values, zero = graph.constants.get(weight.input[0]), graph.constants.get(data.input[2])
    if values is None or zero is None or zero.dtype != np.uint8:
        return None
    outputs = values.shape[0]
    bias = graph.constants.get(node.input[2]) if len(node.input) > 2 else np.zeros(outputs)
    if bias is None:
        return None
    steps = np.broadcast_to(graph.constants[weight.input[1]].astype(np.float64), (outputs,))
    step = float(graph.constants[data.input[1]])
    return _with_room(Operands(data.input[0], step, zero, values.astype(np.int8), steps, bias.astype(np.float64)))


def _with_room(found: Operands) -> Operands:
    """Coarser weight steps in channels whose bias would not fit an int32 (weights all but zero)."""
    least = np.abs(found.bias) / (found.step * _BIAS_LIMIT)
    steps = np.maximum(found.steps, least)
    ratio = (found.steps / steps).reshape(-1, *[1] * (found.weight.ndim - 1))
    weight = np.rint(found.weight * ratio).astype(np.int8)
    return Operands(found.codes, found.step, found.zero, weight, steps, found.bias)


def to_integers(graph: Graph) -> None:
    """Make quantised convolutions run on integers.

    A result that is quantised at once needs only its bias in integers; ONNX Runtime then joins the four nodes. A
    1 x 1 convolution read as float becomes a matrix product, which ONNX Runtime scales after the integers. Another
    convolution read as float stays float unless it is hinted: ONNX Runtime's ConvInteger is several times slower.
    """
    for node in graph.of("Conv"):
        found = operands(graph, node)
        if found is None:
            continue
        if len(graph.only_for(node.output[0], "QuantizeLinear")) == 1:
            set_operands(graph, node, found)
            _to_integer_bias(graph, node, found)
        elif _is_matrix_product(node, found):
            _as_matrix_product(graph, node, found)
    for node in graph.of("Gemm"):
        found = operands(graph, node)
        plain = attribute(node, "transB", 0) == 1 and attribute(node, "transA", 0) == 0
        if found is not None and plain and {attribute(node, name, 1.0) for name in ("alpha", "beta")} == {1.0}:
            set_operands(graph, node, found)
            _to_integer_bias(graph, node, found)


def set_operands(graph: Graph, node: onnx.NodeProto, found: Operands) -> None:
    """Give a node the weights and bias of `found`; its activation stays."""
    steps = graph.constant(f"{node.name}_weight_steps", found.steps.astype(np.float32))
    zeros = graph.constant(f"{node.name}_weight_zeros", np.zeros(found.steps.shape, np.int8))
    weight = graph.constant(f"{node.name}_weight_codes", found.weight)
    weight = graph.add("DequantizeLinear", [weight, steps, zeros], f"{node.name}_weight_values", axis=0)
    bias = graph.constant(f"{node.name}_float_bias", found.bias.astype(np.float32))
    node.input[:] = [node.input[0], weight, bias]


def _to_integer_bias(graph: Graph, node: onnx.NodeProto, found: Operands) -> None:
    steps = graph.constant(f"{node.name}_bias_steps", (found.step * found.steps).astype(np.float32))
    bias = graph.constant(f"{node.name}_bias_codes", found.integer_bias())
    node.input[2] = graph.add("DequantizeLinear", [bias, steps], f"{node.name}_bias_values", axis=0)


def _is_matrix_product(node: onnx.NodeProto, found: Operands) -> bool:
    """A 1 x 1 convolution of every pixel."""
    sizes = (*found.weight.shape[2:], *integers(node, "strides", []), attribute(node, "group", 1))
    return found.weight.ndim == 4 and set(sizes) == {1} and not any(integers(node, "pads", []))


def _as_matrix_product(graph: Graph, node: onnx.NodeProto, found: Operands) -> None:
    outputs = found.steps.shape[0]
    tail = [
        graph.constant(f"{node.name}_step", np.array(found.step, np.float32)),
        graph.constant(f"{node.name}_zero", found.zero),
    ]
    rows = graph.add("Transpose", [found.codes], f"{node.name}_rows", perm=[0, 2, 3, 1])
    data = graph.add("DequantizeLinear", [rows, *tail], f"{node.name}_values")
    columns = [
        graph.constant(f"{node.name}_matrix", np.ascontiguousarray(found.weight[:, :, 0, 0].T)),
        graph.constant(f"{node.name}_column_steps", found.steps.astype(np.float32)),
        graph.constant(f"{node.name}_column_zeros", np.zeros(outputs, np.int8)),
    ]
    weight = graph.add("DequantizeLinear", columns, f"{node.name}_weight_values", axis=1)
    product = graph.add("MatMul", [data, weight], f"{node.name}_product")
    # The bias comes after the planes: beside the product, ONNX Runtime would join both into a Gemm in float.
    planes = graph.add("Transpose", [product], f"{node.name}_planes", perm=[0, 3, 1, 2])
    bias = graph.constant(f"{node.name}_float_bias", found.bias.astype(np.float32).reshape(-1, 1, 1))
    _replace_output(graph, node, graph.add("Add", [planes, bias], f"{node.name}_biased"))


def _replace_output(graph: Graph, node: onnx.NodeProto, value: str) -> None:
    """The node that writes `value` writes `node`'s output instead, so that ports keep their names."""
    maker = graph.maker(value)
    if maker is None:
        raise ValueError(f"nothing writes {value}")
    graph.remove(node)
    maker.output[0] = node.output[0]
    graph.redirect(value, node.output[0])
