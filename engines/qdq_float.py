"""The FP32 network inside an INT8 file: what its weights stand for, without rounding between layers."""

from __future__ import annotations

import numpy as np
import onnx

from engines.cpu_rewrite.graph import Graph


def to_float(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` without Q/DQ pairs on activations, its weights as float32: the same arithmetic in floating point.

    Weights keep the rounding of the file, so that only the rounding of activations is gone.
    """
    graph = Graph(model)
    for node in graph.of("DequantizeLinear"):
        values = graph.constants.get(node.input[0])
        quantise = graph.maker(node.input[0])
        if values is not None:
            axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
            scale = graph.constants[node.input[1]].astype(np.float32)
            shape = [-1 if place == axis else 1 for place in range(values.ndim)] if scale.ndim else []
            weight = values.astype(np.float32) * scale.reshape(shape)
            graph.redirect(node.output[0], graph.constant(f"{node.output[0]}_float", weight.astype(np.float32)))
        elif quantise is not None and quantise.op_type == "QuantizeLinear":
            graph.redirect(node.output[0], quantise.input[0])
    return graph.model()
