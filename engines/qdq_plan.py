"""Where Q/DQ pairs go: TensorRT's explicit-quantisation rules applied to one folded FP32 graph.

Quantised are the inputs of weighted operators, and of each Add that a convolution's output can be fused into, the other
operand (the residual). Outputs of weighted operators are not, so that what follows can be fused into them. Tensors
joined by operators that only move values share one scale. Source: TensorRT developer guide, explicit quantisation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from engines.errors import EngineError

WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})
_MOVES = frozenset({"MaxPool", "Concat", "Reshape", "Flatten", "Transpose", "Slice", "Squeeze", "Unsqueeze"})
_CONSTANT_WEIGHTS = "Export an FP32 ONNX of a convolutional network with its weights as constants."


@dataclass(frozen=True)
class Plan:
    """reads: (node index, operand index) that read through Q/DQ. group_of: tensor to measure → its scale's group.

    branches: outputs of convolutions that stay float into an Add; a CPU runtime quantises them too.
    """

    reads: frozenset[tuple[int, int]]
    group_of: Mapping[str, str]
    branches: tuple[str, ...]


def plan(graph: onnx.GraphProto, constants: Mapping[str, NDArray[np.generic]]) -> Plan:
    """The places for Q/DQ in `graph`. Raises EngineError when a weighted operator's weights are not constant."""
    weighted = [index for index, node in enumerate(graph.node) if node.op_type in WEIGHTED]
    for index in weighted:
        _require_constant_weights(graph.node[index], constants)
    if not weighted:
        raise EngineError("The network has no convolution with constant weights.", remedy=_CONSTANT_WEIGHTS)
    reads = {(index, 0) for index in weighted}
    depth = _depths(graph)
    produced = {name: node for node in graph.node for name in node.output}
    branches: list[str] = []
    for index, node in enumerate(graph.node):
        residual = _residual(node, constants, produced, depth) if node.op_type == "Add" else None
        if residual is not None:
            reads.add((index, residual))
            branches.append(node.input[1 - residual])
    roots = _joined(graph)
    quantised = {graph.node[index].input[operand] for index, operand in reads}
    for index, node in enumerate(graph.node):
        reads |= _moved(index, node, quantised, constants)
    group_of = {name: f"={roots(name)}" for name in quantised}
    group_of |= {name: name for name in branches if name not in quantised}
    return Plan(frozenset(reads), group_of, tuple(dict.fromkeys(branches)))


def _require_constant_weights(node: onnx.NodeProto, constants: Mapping[str, NDArray[np.generic]]) -> None:
    computed = [name for name in node.input[1:] if name and name not in constants]
    if computed:
        raise EngineError(
            f"{node.op_type} {node.name}: its weights or its bias are computed, not constant.", remedy=_CONSTANT_WEIGHTS
        )
    rank = constants[node.input[1]].ndim
    if rank != (4 if node.op_type == "Conv" else 2):
        raise EngineError(
            f"{node.op_type} {node.name}: weights of {rank} dimensions are not supported; pictures have two axes.",
            remedy=_CONSTANT_WEIGHTS,
        )


def _depths(graph: onnx.GraphProto) -> dict[str, int]:
    """How many weighted operators lie before each tensor, on the longest way."""
    depth: dict[str, int] = {}
    for node in graph.node:
        before = max((depth.get(name, 0) for name in node.input), default=0)
        depth |= dict.fromkeys(node.output, before + (node.op_type in WEIGHTED))
    return depth


def _residual(
    node: onnx.NodeProto,
    constants: Mapping[str, NDArray[np.generic]],
    produced: Mapping[str, onnx.NodeProto],
    depth: Mapping[str, int],
) -> int | None:
    """Which operand of an Add is the residual; None where no convolution's output can be fused with the Add.

    Of two convolutions the one behind more weighted operators is the block's own, the other lies on the short cut.
    """
    if node.input[0] == node.input[1] or any(name in constants for name in node.input):
        return None
    own = [name in produced and produced[name].op_type in WEIGHTED for name in node.input]
    if not any(own):
        return None
    if all(own):
        return 1 if depth[node.input[0]] >= depth[node.input[1]] else 0
    return 0 if own[1] else 1


class _Joined:
    """Sets of names, joined pair by pair."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        while name in self._parent:
            name = self._parent[name]
        return name

    def join(self, one: str, other: str) -> None:
        """Put both names into one set."""
        first, second = self(one), self(other)
        if first != second:
            self._parent[second] = first


def _joined(graph: onnx.GraphProto) -> _Joined:
    """Tensors that hold the same values in other places, and so share a scale."""
    joined = _Joined()
    for node in graph.node:
        if node.op_type in _MOVES:
            sources = node.input if node.op_type == "Concat" else node.input[:1]
            for name in (*sources, *node.output):
                joined.join(sources[0], name)
    return joined


def _moved(
    index: int, node: onnx.NodeProto, quantised: set[str], constants: Mapping[str, NDArray[np.generic]]
) -> set[tuple[int, int]]:
    """Reads of an operator that moves values between quantised tensors: it works on the quantised values."""
    if node.op_type not in _MOVES or not all(name in quantised for name in node.output):
        return set()
    sources = range(len(node.input)) if node.op_type == "Concat" else range(1)
    if any(node.input[i] not in quantised or node.input[i] in constants for i in sources):
        return set()
    return {(index, i) for i in sources}
