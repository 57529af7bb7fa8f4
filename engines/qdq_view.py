"""A model indexed for the checks of `engines.qdq_rules`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})
MOVES = frozenset({"MaxPool", "Concat", "Reshape", "Flatten", "Transpose", "Slice", "Squeeze", "Unsqueeze"})
"""Operators that choose or arrange values."""


@dataclass(frozen=True)
class View:
    """constants: values by tensor. producer, consumers: the nodes that write and read a tensor."""

    model: onnx.ModelProto
    constants: dict[str, NDArray[np.generic]]
    producer: dict[str, onnx.NodeProto]
    consumers: dict[str, list[onnx.NodeProto]]

    @staticmethod
    def of(model: onnx.ModelProto) -> View:
        """Index `model`."""
        producer = {name: node for node in model.graph.node for name in node.output}
        consumers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                consumers.setdefault(name, []).append(node)
        constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
        return View(model, constants, producer, consumers)

    def nodes(self, *kinds: str) -> Iterator[onnx.NodeProto]:
        """Nodes of these operators."""
        return (node for node in self.model.graph.node if node.op_type in kinds)

    def made_by(self, tensor: str, *kinds: str) -> bool:
        """Whether `tensor` is written by one of these operators."""
        return tensor in self.producer and self.producer[tensor].op_type in kinds

    def readers(self, tensor: str) -> list[onnx.NodeProto]:
        """The nodes that read `tensor`."""
        return self.consumers.get(tensor, [])

    def through_quantisation(self, tensor: str) -> list[tuple[onnx.NodeProto, str]]:
        """Who reads `tensor` after a Q/DQ pair, and under which name."""
        codes = [node.output[0] for node in self.readers(tensor) if node.op_type == "QuantizeLinear"]
        values = [n.output[0] for code in codes for n in self.readers(code) if n.op_type == "DequantizeLinear"]
        return [(reader, name) for name in values for reader in self.readers(name)]

    def step(self, node: onnx.NodeProto) -> NDArray[np.generic] | None:
        """The constant scale of a Q or DQ."""
        return self.constants.get(node.input[1])

    def is_weight(self, node: onnx.NodeProto) -> bool:
        """Whether a DQ reads constants."""
        return node.input[0] in self.constants

    def operands(self, node: onnx.NodeProto) -> list[str]:
        """Names of the inputs that hold pictures or weights, not shapes, bounds or biases."""
        many = {"Conv": 2, "Gemm": 2, "MatMul": 2, "Add": 2, "Mul": 2, "Concat": len(node.input)}
        return list(node.input[: many.get(node.op_type, 1)])


def attribute(node: onnx.NodeProto, name: str, default: object) -> object:
    """An attribute's value, or `default`."""
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)
