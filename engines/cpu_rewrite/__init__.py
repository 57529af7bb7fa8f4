"""The shipped INT8 file as ONNX Runtime runs it fastest on a processor: derived when a package is opened.

The file keeps to TensorRT's explicit rules (signed, symmetric, only inputs of weighted layers quantised), with which
ONNX Runtime leaves nearly every convolution in float. `rewrite` says the same network so that all run on integers.
"""

from __future__ import annotations

import onnx

from engines.cpu_rewrite.activations import hoist, to_unsigned
from engines.cpu_rewrite.branches import quantise_branches
from engines.cpu_rewrite.convolutions import to_integers
from engines.cpu_rewrite.first_layer import group_pixels
from engines.cpu_rewrite.graph import Graph
from engines.cpu_rewrite.pixels import feed_pixels
from engines.errors import BadPackage

__all__ = ["rewrite"]


def rewrite(model: onnx.ModelProto, *, widths_of_four: bool = False) -> onnx.ModelProto:
    """The same network in the form that ONNX Runtime runs on integers from the pixels to the last convolution.

    model: INT8 by `engines.qdq_rules`; it is not changed. widths_of_four: the result reads only pictures whose width
    is a multiple of four, and its first layer is several times as fast; without it, any width.
    Every code stands for the value it stands for in the file; answers differ by the rounding of sums, no more.
    The result is for ONNX Runtime only and breaks the rules of the shipped file on purpose.
    Raises BadPackage when steps or hints are missing or malformed.
    """
    graph = Graph(model)
    _require_constant_steps(graph)
    feed_pixels(graph)
    quantise_branches(graph)
    hoist(graph)
    to_unsigned(graph)
    if widths_of_four:
        group_pixels(graph)
    to_integers(graph)
    return graph.model()


def _require_constant_steps(graph: Graph) -> None:
    for node in graph.of("QuantizeLinear", "DequantizeLinear"):
        if len(node.input) != 3 or not all(name in graph.constants for name in node.input[1:]):
            raise BadPackage(
                f"{node.op_type} {node.name} has no constant step and zero point.",
                remedy="Quantise the network again with this release.",
            )
