"""Small INT8 networks by the shipped file's rules, with random weights: chains, residual blocks, depthwise, joins."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engines.cpu_rewrite.branches import BRANCH_KEY
from engines.quantize import CALIBRATION_KEY


@dataclass
class Net:
    """A network being built; `tensor` is where it stands. Channel counts go with tensor names."""

    seed: int = 0
    grey: float = 128.0
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    channels: dict[str, int] = field(default_factory=dict)
    hints: dict[str, float] = field(default_factory=dict)
    tensor: str = "centred"

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.nodes += [
            helper.make_node("Transpose", ["image"], ["planes"], "to_planes", perm=[0, 3, 1, 2]),
            helper.make_node("Cast", ["planes"], ["planes_float"], "to_float", to=TensorProto.FLOAT),
            helper.make_node(
                "Sub", ["planes_float", self.constant("grey", np.float32(self.grey))], ["centred"], "centre"
            ),
        ]
        self.channels["centred"] = 3

    def constant(self, name: str, value: object) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def apply(self, kind: str, inputs: list[str], channels: int, **attributes: object) -> str:
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [f"{name}_out"], name, **attributes))
        self.tensor = f"{name}_out"
        self.channels[self.tensor] = channels
        return self.tensor

    def quantised(self, tensor: str, scale: float) -> str:
        """Name of `tensor` after its Q/DQ; one pair a tensor."""
        if not any(f"{tensor}_dq" in node.output for node in self.nodes):
            tail = [self.constant(f"{tensor}_scale", np.float32(scale)), self.constant(f"{tensor}_zero", np.int8(0))]
            self.nodes += [
                helper.make_node("QuantizeLinear", [tensor, *tail], [f"{tensor}_q"], f"{tensor}_quantize"),
                helper.make_node("DequantizeLinear", [f"{tensor}_q", *tail], [f"{tensor}_dq"], f"{tensor}_dequantize"),
            ]
        self.channels[f"{tensor}_dq"] = self.channels[tensor]
        return f"{tensor}_dq"

    def conv(
        self,
        out: int,
        kernel: int = 3,
        stride: int = 1,
        dilation: int = 1,
        *,
        depthwise: bool = False,
        scale: float = 0.03,
    ) -> str:
        """Q/DQ and a convolution; weights keep values near one, biases lie on the grid of the sums."""
        source = self.tensor
        into, first = self.channels[source], source == "centred"
        out, groups = (into, into) if depthwise else (out, 1)
        step = 1.0 if first else scale
        data = self.quantised(source, step)
        name = f"conv{len(self.nodes)}"
        codes = self.rng.integers(-127, 128, (out, into // groups, kernel, kernel), dtype=np.int8)
        fan = np.sqrt(codes[0].size) * 60 * (60 if first else 1)
        steps = (self.rng.uniform(0.7, 1.4, out) / fan).astype(np.float32)
        pair = [
            self.constant(f"{name}_weight_q", codes),
            self.constant(f"{name}_weight_scale", steps),
            self.constant(f"{name}_weight_zero", np.zeros(out, np.int8)),
        ]
        self.nodes.append(
            helper.make_node("DequantizeLinear", pair, [f"{name}_weight_dq"], f"{name}_weight_dequantize", axis=0)
        )
        grid = steps.astype(np.float64) * np.float32(step)
        bias = np.rint(self.rng.normal(0, 0.3, out) / grid) * grid
        pad = kernel // 2 * dilation
        return self.apply(
            "Conv",
            [data, f"{name}_weight_dq", self.constant(f"{name}_bias", bias.astype(np.float32))],
            out,
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            dilations=[dilation] * 2,
            pads=[pad] * 4,
            group=groups,
        )

    def relu(self) -> str:
        return self.apply("Relu", [self.tensor], self.channels[self.tensor])

    def clip(self, top: float) -> str:
        name = f"limits{len(self.nodes)}"
        bounds = [self.constant(f"{name}_low", np.float32(0)), self.constant(f"{name}_high", np.float32(top))]
        return self.apply("Clip", [self.tensor, *bounds], self.channels[self.tensor])

    def max_pool(self) -> str:
        attributes = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
        return self.apply("MaxPool", [self.tensor], self.channels[self.tensor], **attributes)

    def residual(self, *, hinted: bool = True, rectified: bool = True) -> str:
        """Two convolutions beside the identity."""
        identity = self.tensor
        out = self.channels[identity]
        self.conv(out)
        self.relu()
        own = self.conv(out)
        if hinted:
            self.hints[own] = float(self.rng.uniform(0.02, 0.03))
        self.apply("Add", [own, self.quantised(identity, 0.0317)], out)
        return self.relu() if rectified else self.tensor

    def fork(self, out: int) -> str:
        """Two convolutions of one tensor, joined along the channels."""
        source = self.tensor
        self.conv(out)
        one = self.relu()
        self.tensor = source
        self.conv(out, kernel=1)
        other = self.relu()
        return self.apply("Concat", [one, other], 2 * out, axis=1)

    def model(self, labels: int = 2, picture: tuple[int | str, int | str] = ("height", "width")) -> onnx.ModelProto:
        """Finish with a 1 x 1 convolution and a sigmoid."""
        self.conv(labels, kernel=1)
        last = self.apply("Sigmoid", [self.tensor], labels)
        self.nodes[-1].output[0] = "probability"
        assert last != "probability"
        port = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, *picture, 3])
        maps = helper.make_tensor_value_info("probability", TensorProto.FLOAT, [1, labels, "rows", "columns"])
        graph = helper.make_graph(self.nodes, "net", [port], [maps], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        entries = {CALIBRATION_KEY: "0" * 64}
        if self.hints:
            entries[BRANCH_KEY] = json.dumps(self.hints)
        helper.set_model_props(model, entries)
        onnx.checker.check_model(model, full_check=True)
        return model


def chain(seed: int = 0) -> onnx.ModelProto:
    """As the shipped networks: 5 x 5 with stride 2, stride 2, dilation."""
    net = Net(seed)
    net.conv(8, kernel=5, stride=2)
    net.relu()
    net.conv(16, stride=2)
    net.relu()
    net.conv(16, dilation=2)
    net.relu()
    return net.model()


def residual(seed: int = 0, *, hinted: bool = True) -> onnx.ModelProto:
    """As ResNet: pooling, two blocks."""
    net = Net(seed)
    net.conv(16, kernel=7, stride=2)
    net.relu()
    net.max_pool()
    net.residual(hinted=hinted)
    net.residual(hinted=hinted)
    return net.model()


def depthwise(seed: int = 0) -> onnx.ModelProto:
    """As MobileNetV2: expansion, depthwise, projection without rectifier, short cut."""
    net = Net(seed)
    net.conv(16, stride=2)
    net.clip(6.0)
    identity = net.conv(16, kernel=1)
    net.conv(32, kernel=1)
    net.clip(6.0)
    net.conv(32, depthwise=True)
    net.clip(6.0)
    own = net.conv(16, kernel=1)
    net.hints[own] = float(net.rng.uniform(0.02, 0.03))
    net.apply("Add", [own, net.quantised(identity, 0.0317)], 16)
    return net.model()


def run(model: onnx.ModelProto, picture: NDArray[np.uint8], *, to_the_letter: bool = False) -> NDArray[np.float32]:
    """Answer on one picture (H, W, 3). to_the_letter: node by node, without what ONNX Runtime makes of the graph."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if to_the_letter:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    answer: NDArray[np.float32] = session.run(None, {"image": picture[np.newaxis]})[0]
    return answer
