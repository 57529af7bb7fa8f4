"""uint8 pixels straight into the first convolution, where the prologue is a shift and a step of the pixel value."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from engines.cpu_rewrite.graph import Graph, attribute

_TO_PLANES = [0, 3, 1, 2]
_ARITHMETIC: dict[str, Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]] = {
    "Sub": np.subtract,
    "Add": np.add,
    "Mul": np.multiply,
    "Div": np.divide,
}
_CLOSE = 1e-4


def feed_pixels(graph: Graph) -> None:
    """Replace picture → planes → float → arithmetic → quantise by picture → planes, read with a zero point and a step.

    Done where the arithmetic maps pixel value p to step * (p - zero) with one step and one whole zero for all three
    channels; the convolution then reads the pixels themselves, without rounding. Other prologues stay.
    """
    for quantise in graph.of("QuantizeLinear"):
        found = _prologue(graph, quantise.input[0])
        if found is None:
            continue
        picture, chain = found
        affine = _affine(graph, chain)
        if affine is None:
            continue
        planes = graph.add("Transpose", [picture], "pixels", perm=_TO_PLANES)
        scale = graph.constant("pixel_step", np.array(affine[0], np.float32))
        zero = graph.constant("pixel_zero", np.array(affine[1], np.uint8))
        for user in graph.only_for(quantise.output[0], "DequantizeLinear"):
            user.input[:] = [planes, scale, zero]


def _prologue(graph: Graph, tensor: str) -> tuple[str, list[onnx.NodeProto]] | None:
    """The uint8 input from which `tensor` comes by one Transpose, one Cast and arithmetic, and those nodes in order."""
    chain: list[onnx.NodeProto] = []
    while tensor not in graph.inputs:
        node = graph.maker(tensor)
        if node is None or node.op_type not in {"Transpose", "Cast", *_ARITHMETIC}:
            return None
        chain.insert(0, node)
        tensor = node.input[0]
    kinds = [node.op_type for node in chain]
    whole = kinds.count("Transpose") == 1 and kinds.count("Cast") == 1 and _cast_first(kinds)
    if not whole or graph.inputs[tensor].type.tensor_type.elem_type != TensorProto.UINT8:
        return None
    return tensor, chain


def _cast_first(kinds: list[str]) -> bool:
    return all(kind not in _ARITHMETIC for kind in kinds[: kinds.index("Cast")])


def _affine(graph: Graph, chain: list[onnx.NodeProto]) -> tuple[float, int] | None:
    """Step and zero point of the chain; found by running it on every pixel value in every channel."""
    ramp = np.broadcast_to(np.arange(256, dtype=np.float32)[None, :, None, None], (1, 256, 1, 3))
    for node in chain:
        if node.op_type == "Transpose":
            if attribute(node, "perm") != _TO_PLANES:
                return None
            ramp = ramp.transpose(_TO_PLANES)
        elif node.op_type == "Cast":
            if attribute(node, "to") != TensorProto.FLOAT:
                return None
        else:
            operand = graph.constants.get(node.input[1])
            if operand is None or np.broadcast_shapes(ramp.shape, operand.shape) != ramp.shape:
                return None
            ramp = _ARITHMETIC[node.op_type](ramp, operand.astype(np.float32))
    values = ramp.astype(np.float64)
    step = (values[0, 0, 255, 0] - values[0, 0, 0, 0]) / 255
    if not step > 0:
        return None
    codes = values / step
    zero = round(float(-codes[0, 0, 0, 0]))
    straight = np.arange(256)[None, None, :, None] - zero
    return (float(step), zero) if 0 <= zero <= 255 and np.abs(codes - straight).max() < _CLOSE * 256 else None
