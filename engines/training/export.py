"""Trained layers → one FP32 ONNX graph with uint8 NHWC input, normalisation and sigmoid inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engines.packaging import INPUT_NAME, OUTPUT_NAME

OPSET = 17
GREY = 128.0


@dataclass(frozen=True)
class ConvLayer:
    """One convolution as it runs: batch normalisation folded, padding keeps cell i centred on pixel i * stride.

    weight: (out, in, k, k) float32 with k odd. bias: (out,). relu: whether a ReLU follows.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    stride: int = 1
    dilation: int = 1
    relu: bool = True


def build_onnx(layers: Sequence[ConvLayer], input_scale: float, name: str) -> onnx.ModelProto:
    """A checked ONNX model of `layers` on a uint8 picture (1, H, W, 3), any H and W.

    The network was trained on (pixel - 128) * input_scale; the factor is folded into the first layer's weights, so
    that the first quantised tensor holds the pixel values themselves, without loss.
    """
    if not layers:
        raise ValueError("a network needs at least one layer")
    grey = numpy_helper.from_array(np.float32(GREY), "grey")
    initializers = [grey]
    nodes = [
        helper.make_node("Transpose", [INPUT_NAME], ["planes"], "to_planes", perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["planes_float"], "to_float", to=TensorProto.FLOAT),
        helper.make_node("Sub", ["planes_float", "grey"], ["centred"], "centre"),
    ]
    current = "centred"
    for index, layer in enumerate(layers):
        factor = np.float32(input_scale if index == 0 else 1.0)
        prefix = f"conv{index}"
        initializers += [
            numpy_helper.from_array((layer.weight * factor).astype(np.float32), f"{prefix}_weight"),
            numpy_helper.from_array(layer.bias.astype(np.float32), f"{prefix}_bias"),
        ]
        pad = (layer.weight.shape[2] // 2) * layer.dilation
        nodes.append(
            helper.make_node(
                "Conv",
                [current, f"{prefix}_weight", f"{prefix}_bias"],
                [f"{prefix}_out"],
                prefix,
                kernel_shape=list(layer.weight.shape[2:]),
                strides=[layer.stride] * 2,
                dilations=[layer.dilation] * 2,
                pads=[pad] * 4,
            )
        )
        current = f"{prefix}_out"
        if layer.relu:
            nodes.append(helper.make_node("Relu", [current], [f"relu{index}_out"], f"relu{index}"))
            current = f"relu{index}_out"
    nodes.append(helper.make_node("Sigmoid", [current], [OUTPUT_NAME], "to_probability"))
    picture = helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, [1, "height", "width", 3])
    maps = helper.make_tensor_value_info(
        OUTPUT_NAME, TensorProto.FLOAT, [1, layers[-1].weight.shape[0], "rows", "columns"]
    )
    graph = helper.make_graph(nodes, name, [picture], [maps], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="cytoscan")
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model
