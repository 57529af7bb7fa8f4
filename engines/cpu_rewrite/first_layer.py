"""A first convolution of three channels, said as one of twelve: four pixels side by side count as one place.

With rows of pixels stored one after the other, this needs no copy; integer kernels are several times as fast on
channels in fours.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from engines.cpu_rewrite.convolutions import Operands, operands, set_operands
from engines.cpu_rewrite.graph import Graph, attribute, integers

_SIDE = 4
_TO_PLANES = [0, 3, 1, 2]
_TO_ROWS = [0, 2, 3, 1]


def group_pixels(graph: Graph) -> None:
    """Rewrite a convolution that reads the pixels; exact for pictures whose width is a multiple of four."""
    for node in graph.of("Conv"):
        found = operands(graph, node)
        quantisers = graph.only_for(node.output[0], "QuantizeLinear")
        planes = graph.maker(found.codes) if found is not None else None
        if found is None or planes is None or len(quantisers) != 1 or not _from_picture(graph, planes):
            continue
        width = _Width.of(node, found)
        if width is not None:
            _apply(graph, node, found, width, planes.input[0], quantisers[0])


def _from_picture(graph: Graph, planes: onnx.NodeProto) -> bool:
    """Whether `planes` is made of the picture, and that may be a multiple of four wide."""
    port = graph.inputs.get(planes.input[0])
    if port is None or planes.op_type != "Transpose":
        return False
    width = port.type.tensor_type.shape.dim[2]
    return not width.HasField("dim_value") or width.dim_value % _SIDE == 0


class _Width:
    """How a kernel lies across groups of four pixels.

    first, last: groups before and behind the one where the outputs lie. outputs: how many of them, one a stride.
    margin: grey pixels to be put left and right of the picture so that the kernel meets fewer groups; then first is 0.
    """

    def __init__(self, kernel: int, stride: int, before: int) -> None:
        self.stride, self.before = stride, before
        self.outputs = _SIDE // stride
        self.first = -before // _SIDE
        self.last = (_SIDE - stride - before + kernel - 1) // _SIDE
        self.margin = (0, 0)
        aligned = (_SIDE - stride + kernel - 1) // _SIDE
        if aligned < self.last - self.first:
            self.margin = (before, _SIDE * aligned - before)
            self.before, self.first, self.last = 0, 0, aligned

    @staticmethod
    def of(node: onnx.NodeProto, found: Operands) -> _Width | None:
        """None where the convolution cannot be said this way."""
        strides, pads = integers(node, "strides", [1, 1]), integers(node, "pads", [0, 0, 0, 0])
        dilations = integers(node, "dilations", [1, 1])
        if attribute(node, "auto_pad", b"NOTSET") != b"NOTSET":
            return None
        if found.weight.ndim != 4 or found.weight.shape[1] != 3 or dilations[1] != 1 or strides[1] not in {1, 2, 4}:
            return None
        kernel, stride = found.weight.shape[3], strides[1]
        same_width = 0 <= pads[1] + pads[3] - kernel + stride < stride
        width = _Width(kernel, stride, pads[1])
        return width if same_width and width.last >= 0 else None

    def spread(self, weight: NDArray[np.int8]) -> NDArray[np.int8]:
        """Weights (out, 3, h, w) → (outputs * out, 12, h, groups)."""
        out, colours, height, kernel = weight.shape
        spread = np.zeros((self.outputs, out, _SIDE, colours, height, self.last - self.first + 1), np.int8)
        for index in range(self.outputs):
            for column in range(kernel):
                group, pixel = divmod(index * self.stride - self.before + column, _SIDE)
                spread[index, :, pixel, :, :, group - self.first] = weight[:, :, :, column]
        return spread.reshape(self.outputs * out, _SIDE * colours, height, -1)


def _apply(
    graph: Graph, node: onnx.NodeProto, found: Operands, width: _Width, picture: str, quantiser: onnx.NodeProto
) -> None:
    zero = graph.constant("grouped_zero", found.zero)
    if any(width.margin):
        left, right = width.margin
        amounts = graph.constant("margin", np.array([0, 0, left, 0, 0, 0, right, 0], np.int64))
        picture = graph.add("Pad", [picture, amounts, zero], "with_margin")
    grouped = _reshape(graph, picture, 3 * _SIDE)
    planes = graph.add("Transpose", [grouped], "grouped_planes", perm=_TO_PLANES)
    step = graph.constant("grouped_step", np.array(found.step, np.float32))
    data = graph.add("DequantizeLinear", [planes, step, zero], "grouped_values")
    wide = Operands(
        planes,
        found.step,
        found.zero,
        width.spread(found.weight),
        np.tile(found.steps, width.outputs),
        np.tile(found.bias, width.outputs),
    )
    node.input[0] = data
    set_operands(graph, node, wide)
    pads, strides = integers(node, "pads", [0, 0, 0, 0]), integers(node, "strides", [1, 1])
    _set(node, "kernel_shape", list(wide.weight.shape[2:]))
    sides = (0, 0) if any(width.margin) else (-width.first, width.last)
    _set(node, "pads", [pads[0], sides[0], pads[2], sides[1]])
    _set(node, "strides", [strides[0], 1])
    codes = quantiser.output[0]
    readers = graph.users(codes)
    rows = graph.add("Transpose", [codes], "grouped_rows", perm=_TO_ROWS)
    apart = _reshape(graph, rows, found.weight.shape[0])
    back = graph.add("Transpose", [apart], "first_planes", perm=_TO_PLANES)
    for reader in readers:
        reader.input[:] = [back if name == codes else name for name in reader.input]


def _reshape(graph: Graph, tensor: str, channels: int) -> str:
    shape = graph.constant("places", np.array([0, 0, -1, channels], np.int64))
    return graph.add("Reshape", [tensor, shape], "regrouped")


def _set(node: onnx.NodeProto, name: str, values: list[int]) -> None:
    kept = [a for a in node.attribute if a.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, onnx.helper.make_attribute(name, values)])
