"""Small FP32 networks built as public ones are: a ResNet that classifies, a MobileNetV2 that gives a heat map.

Weights are random but for the last layer, which is fitted so that the network answers to redness.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIDE = 64
"""Input size of the classifier."""


class Builder:
    """Nodes and constants in order; every layer takes and gives the name of a tensor."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, kind: str, inputs: Sequence[str], **attributes: object) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], f"{kind}_{len(self.nodes)}", **attributes))
        return name

    def constant(self, value: NDArray[np.generic], name: str = "") -> str:
        name = name or f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def conv(self, source: str, shape: tuple[int, int, int, int], *, stride: int = 1, groups: int = 1) -> str:
        """Convolution and batch normalisation. shape: (out, in / groups, k, k)."""
        fan = shape[1] * shape[2] * shape[3]
        weight = self.rng.normal(0, np.sqrt(2 / fan), shape).astype(np.float32)
        pad = shape[2] // 2
        tensor = self.node(
            "Conv", [source, self.constant(weight)], pads=[pad] * 4, strides=[stride] * 2, group=groups,
            kernel_shape=list(shape[2:]),
        )  # fmt: skip
        parts = [
            self.rng.uniform(0.8, 1.2, shape[0]),
            self.rng.normal(0, 0.1, shape[0]),
            self.rng.normal(0, 0.1, shape[0]),
            self.rng.uniform(0.8, 1.2, shape[0]),
        ]
        return self.node("BatchNormalization", [tensor, *(self.constant(p.astype(np.float32)) for p in parts)])

    def relu6(self, source: str) -> str:
        return self.node("Clip", [source, self.constant(np.float32(0)), self.constant(np.float32(6))])

    def model(
        self, shape: list[int | str], output: str, out_shape: list[int | str], opset: int = 17
    ) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes, "public", [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, out_shape)], self.constants,
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        model.ir_version = 8
        return model


def resnet(opset: int = 17, classes: int = 2, side: int = SIDE) -> onnx.ModelProto:
    """Stem, a plain block, a block with a convolution on its short cut, pooling, fully connected layer: logits."""
    b = Builder(1)
    stem = b.node("Relu", [b.conv("pixel_values", (16, 3, 7, 7), stride=2)])
    pooled = b.node("MaxPool", [stem], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    inner = b.node("Relu", [b.conv(pooled, (16, 16, 3, 3))])
    first = b.node("Relu", [b.node("Add", [b.conv(inner, (16, 16, 3, 3)), pooled])])
    inner = b.node("Relu", [b.conv(first, (32, 16, 3, 3), stride=2)])
    main, short = b.conv(inner, (32, 32, 3, 3)), b.conv(first, (32, 16, 1, 1), stride=2)
    second = b.node("Relu", [b.node("Add", [short, main])])
    flat = b.node("Flatten", [b.node("GlobalAveragePool", [second])])
    head = (
        b.constant(np.zeros((32, classes), np.float32), "head"),
        b.constant(np.zeros(classes, np.float32), "head_bias"),
    )
    b.node("Gemm", [flat, *head])
    b.nodes[-1].output[0] = "logits"
    model = b.model([1, 3, side, side], "logits", [1, classes], opset)
    return _fitted(model, flat, transpose=False)


def mobilenet(head: int = 1) -> onnx.ModelProto:
    """Inverted residuals, one of them with its Add, at stride 4: a map of logits, any height and width."""
    b = Builder(2)
    stem = b.relu6(b.conv("pixel_values", (16, 3, 3, 3), stride=2))
    current = _inverted(b, stem, 16, 16, stride=2, residual=False)
    current = _inverted(b, current, 16, 16, stride=1, residual=True)
    wide = b.relu6(b.conv(current, (96, 16, 1, 1)))
    weight = b.constant(np.zeros((head, 96, 1, 1), np.float32), "head")
    b.node("Conv", [wide, weight, b.constant(np.zeros(head, np.float32), "head_bias")])
    b.nodes[-1].output[0] = "logits"
    model = b.model([1, 3, "h", "w"], "logits", [1, head, "r", "c"])
    return _fitted(model, wide, transpose=True)


def _inverted(b: Builder, source: str, channels: int, out: int, *, stride: int, residual: bool) -> str:
    wide = b.relu6(b.conv(source, (4 * channels, channels, 1, 1)))
    deep = b.relu6(b.conv(wide, (4 * channels, 1, 3, 3), stride=stride, groups=4 * channels))
    linear = b.conv(deep, (out, 4 * channels, 1, 1))
    return b.node("Add", [source, linear]) if residual else linear


def fields(count: int, side: int = 96, seed: int = 0) -> list[NDArray[np.uint8]]:
    """Pale fields with red and blue discs, blurred, with grain; uint8 (side, side, 3) each."""
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        picture = np.full((side, side, 3), rng.integers(170, 230, 3), np.uint8)
        for _ in range(int(rng.integers(4, 14))):
            colour = (190, 60, 100) if rng.random() < 0.5 else (70, 80, 160)
            centre = tuple(int(v) for v in rng.integers(0, side, 2))
            cv2.circle(picture, centre, int(rng.integers(3, 12)), colour, -1)
        soft = cv2.GaussianBlur(picture, (0, 0), 1.0)
        pictures.append(np.clip(soft + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8))
    return pictures


def write_fields(folder: Path, count: int, side: int = 96, seed: int = 0) -> Path:
    """`fields` as PNG files in `folder`, which is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, picture in enumerate(fields(count, side, seed)):
        cv2.imwrite(str(folder / f"field{index:03d}.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return folder


def _fitted(model: onnx.ModelProto, tensor: str, *, transpose: bool) -> onnx.ModelProto:
    """`model` with the last layer fitted: logits rise with how red the picture is where they look."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.append(helper.make_empty_tensor_value_info(tensor))
    session = onnxruntime.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
    features, wanted = [], []
    for picture in fields(60, SIDE, seed=99):
        scaled = (picture.astype(np.float32) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        value = session.run([tensor], {"pixel_values": scaled.astype(np.float32).transpose(2, 0, 1)[np.newaxis]})[0][0]
        red = np.clip(picture[..., 0].astype(np.float32) - picture[..., 1], 0, None)
        if value.ndim == 1:
            features.append(value[np.newaxis])
            wanted.append([red.mean()])
        else:
            features.append(value.reshape(value.shape[0], -1).T)
            wanted.append(cv2.resize(red, value.shape[:0:-1], interpolation=cv2.INTER_AREA).reshape(-1))
    x = np.concatenate(features).astype(np.float64)
    y = np.concatenate(wanted)
    y = 4 * (y - y.mean()) / y.std() - (0 if x.shape[0] < 1000 else 2)
    x1 = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    gram = x1.T @ x1
    ridge = 0.1 * float(np.trace(gram)) / len(gram) * np.eye(len(gram))  # small weights: no sums of large opposites
    solved = np.linalg.solve(gram + ridge, x1.T @ y)
    for constant in model.graph.initializer:
        shape = tuple(constant.dims)
        if constant.name == "head":
            column = solved[:-1].astype(np.float32)
            sign = np.array([1.0] if 1 in shape[:2] else [-0.5, 0.5][: min(shape[:2])], np.float32)
            value = np.outer(sign, column).reshape(shape) if transpose else np.outer(column, sign)
            constant.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), "head"))
        elif constant.name == "head_bias":
            sign = np.array([1.0] if shape == (1,) else [-0.5, 0.5], np.float32)
            constant.CopyFrom(numpy_helper.from_array((sign * np.float32(solved[-1])).astype(np.float32), "head_bias"))
    return model
