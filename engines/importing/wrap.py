"""The graph around a network: uint8 NHWC pixels in and normalised, probabilities of the named labels out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from engines.importing.ports import Ports
from engines.packaging import INPUT_NAME, OUTPUT_NAME

Head = Literal["none", "sigmoid", "softmax"]
_PREFIX = "net/"


@dataclass(frozen=True)
class Normalisation:
    """(pixel - mean) / std for each of R, G, B, in units of the pixel's 0 to 255."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


PRESETS: Mapping[str, Normalisation] = {
    "imagenet": Normalisation((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "0-1": Normalisation((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
    "-1-1": Normalisation((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "0-255": Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}


def with_pixels_in(
    model: onnx.ModelProto, ports: Ports, normalisation: Normalisation, size: tuple[int, int] | None
) -> onnx.ModelProto:
    """The network from uint8 NHWC INPUT_NAME (1, H, W, 3) to its one raw answer.

    size: height and width to fix; None leaves both open.
    """
    inner = compose.add_prefix(model, _PREFIX)
    graph = inner.graph
    entry, answer = f"{_PREFIX}{ports.input}", f"{_PREFIX}{ports.output}"
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    if ports.pixels == "uint8 NHWC":
        _rename(graph, entry, INPUT_NAME)
    else:
        nodes, constants = _normalised(entry, normalisation)
    kept = [*nodes, *graph.node]
    raw = next(port for port in graph.output if port.name == answer)
    result = helper.make_graph(
        kept,
        graph.name,
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, [1, *(size or ("height", "width")), 3])],
        [helper.make_tensor_value_info(answer, raw.type.tensor_type.elem_type, None)],
        [*graph.initializer, *constants],
    )
    return _model(result, model)


def with_probabilities_out(
    model: onnx.ModelProto, head: Head, channels: Sequence[int] | None, shape: tuple[int, ...]
) -> onnx.ModelProto:
    """`model` with OUTPUT_NAME (1, labels, rows, columns): `head` applied, `channels` kept in that order.

    channels: None keeps all. shape: of the raw answer, (1, classes) or (1, classes, rows, columns).
    """
    graph = model.graph
    current = graph.output[0].name
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    if head != "none":
        kind, more = ("Sigmoid", {}) if head == "sigmoid" else ("Softmax", {"axis": 1})
        nodes.append(helper.make_node(kind, [current], ["activated"], "activate", **more))
        current = "activated"
    if channels is not None:
        constants.append(numpy_helper.from_array(np.array(channels, np.int64), "labelled"))
        nodes.append(helper.make_node("Gather", [current, "labelled"], ["chosen"], "choose_labels", axis=1))
        current = "chosen"
    labels = shape[1] if channels is None else len(channels)
    if len(shape) == 2:
        constants.append(numpy_helper.from_array(np.array([1, labels, 1, 1], np.int64), "one_cell"))
        nodes.append(helper.make_node("Reshape", [current, "one_cell"], [OUTPUT_NAME], "to_cell"))
    elif nodes:
        nodes[-1].output[0] = OUTPUT_NAME
    else:
        nodes.append(helper.make_node("Identity", [current], [OUTPUT_NAME], "name_output"))
    field = len(shape) == 2 or shape[2:] == (1, 1)
    port = helper.make_tensor_value_info(
        OUTPUT_NAME, TensorProto.FLOAT, [1, labels, *((1, 1) if field else ("rows", "columns"))]
    )
    result = helper.make_graph([*graph.node, *nodes], graph.name, graph.input, [port], [*graph.initializer, *constants])
    return _model(result, model)


def _normalised(entry: str, normalisation: Normalisation) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    nodes = [
        helper.make_node("Transpose", [INPUT_NAME], ["planes"], "to_planes", perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["planes_float"], "to_float", to=TensorProto.FLOAT),
    ]
    constants: list[onnx.TensorProto] = []
    steps = (
        ("Sub", "mean", np.array(normalisation.mean, np.float32), 0.0),
        ("Mul", "inverse_std", (1.0 / np.array(normalisation.std)).astype(np.float32), 1.0),
    )
    for kind, name, values, neutral in steps:
        if np.any(values != neutral):
            constants.append(numpy_helper.from_array(values.reshape(1, 3, 1, 1), name))
            nodes.append(helper.make_node(kind, [nodes[-1].output[0], name], [f"after_{name}"], f"apply_{name}"))
    nodes[-1].output[0] = entry
    return nodes, constants


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]


def _model(graph: onnx.GraphProto, like: onnx.ModelProto) -> onnx.ModelProto:
    result = helper.make_model(graph, opset_imports=like.opset_import, producer_name="cytoscan")
    result.ir_version = like.ir_version
    return result
