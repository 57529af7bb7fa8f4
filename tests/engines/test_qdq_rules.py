"""Each of the sixteen rules finds the breach it is there for, and sound networks have none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engines.qdq_rules import RULES, lint

from .qdq_nets import Net, chain, depthwise, residual


def _whole() -> onnx.ModelProto:
    """A network with everything a rule looks at: chain, short cut, join, pooling between quantised tensors."""
    net = Net(5)
    net.conv(8, stride=2)
    net.relu()
    net.max_pool()
    net.residual()
    net.fork(8)
    return net.model()


def _initializer(model: onnx.ModelProto, ending: str) -> onnx.TensorProto:
    return next(i for i in model.graph.initializer if i.name.endswith(ending))


def _set(model: onnx.ModelProto, ending: str, value: object) -> None:
    constant = _initializer(model, ending)
    constant.CopyFrom(numpy_helper.from_array(np.asarray(value), constant.name))


def _values(model: onnx.ModelProto, ending: str) -> NDArray[np.generic]:
    return numpy_helper.to_array(_initializer(model, ending))


def _node(model: onnx.ModelProto, kind: str, number: int = 0) -> onnx.NodeProto:
    return [node for node in model.graph.node if node.op_type == kind][number]


def _pair(model: onnx.ModelProto, tensor: str, name: str, scale: float = 0.03) -> str:
    """Q/DQ of `tensor` under other names; returns what they give."""
    model.graph.initializer.extend(
        [numpy_helper.from_array(np.float32(scale), f"{name}_s"), numpy_helper.from_array(np.int8(0), f"{name}_z")]
    )
    tail = [f"{name}_s", f"{name}_z"]
    model.graph.node.extend(
        [
            helper.make_node("QuantizeLinear", [tensor, *tail], [f"{name}_q"], f"{name}_quantize"),
            helper.make_node("DequantizeLinear", [f"{name}_q", *tail], [f"{name}_dq"], f"{name}_dequantize"),
        ]
    )
    return f"{name}_dq"


def _skip_input_pair(model: onnx.ModelProto) -> None:
    conv = _node(model, "Conv", 1)
    conv.input[0] = conv.input[0].removesuffix("_dq")


def _quantise_before_sigmoid(model: onnx.ModelProto) -> None:
    sigmoid = _node(model, "Sigmoid")
    sigmoid.input[0] = _pair(model, sigmoid.input[0], "late")


def _quantise_both_branches(model: onnx.ModelProto) -> None:
    add = _node(model, "Add")
    model.metadata_props.pop()
    add.input[0] = _pair(model, add.input[0], "both")


def _sandwich(model: onnx.ModelProto) -> None:
    relu = _node(model, "Relu")
    relu.input[0] = _pair(model, relu.input[0], "bread")


def _float_short_cut(model: onnx.ModelProto) -> None:
    add = _node(model, "Add")
    add.input[1] = add.input[1].removesuffix("_dq")


def _gate(model: onnx.ModelProto) -> None:
    """Squeeze-and-excitation with a quantised product inside."""
    sigmoid = _node(model, "Sigmoid")
    logits, channels = sigmoid.input[0], 2
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(np.ones((channels, channels, 1, 1), np.int8), "gate_codes"),
            numpy_helper.from_array(np.full(channels, 0.01, np.float32), "gate_steps"),
            numpy_helper.from_array(np.zeros(channels, np.int8), "gate_zeros"),
        ]
    )
    model.graph.node.append(helper.make_node("GlobalAveragePool", [logits], ["pooled"], "squeeze"))
    pooled = _pair(model, "pooled", "pooled")
    names = ["gate_codes", "gate_steps", "gate_zeros"]
    model.graph.node.extend(
        [
            helper.make_node("DequantizeLinear", names, ["gate_weight"], "gate_weight_dequantize", axis=0),
            helper.make_node("Conv", [pooled, "gate_weight"], ["excitation"], "excite"),
            helper.make_node("Mul", [logits, "excitation"], ["gated"], "gate"),
        ]
    )
    sigmoid.input[0] = "gated"


def _hard_swish(model: onnx.ModelProto) -> None:
    _node(model, "Relu", 1).op_type = "HardSwish"


def _idle(model: onnx.ModelProto) -> None:
    names = list(_node(model, "QuantizeLinear").output) + list(_node(model, "QuantizeLinear").input[1:])
    model.graph.node.append(helper.make_node("DequantizeLinear", names, ["nobody"], "idle"))


def _two_scales_at_concat(model: onnx.ModelProto) -> None:
    concat = _node(model, "Concat")
    concat.input[0] = _pair(model, concat.input[0], "left", 0.03)
    concat.input[1] = _pair(model, concat.input[1], "right", 0.04)


def _half_quantised_concat(model: onnx.ModelProto) -> None:
    concat = _node(model, "Concat")
    concat.input[0] = _pair(model, concat.input[0], "left", 0.03)


def _two_scales_at_pooling(model: onnx.ModelProto) -> None:
    pool = _node(model, "MaxPool")
    pool.input[0] = _pair(model, pool.input[0], "before", 0.5)


def _computed_reshape(model: onnx.ModelProto) -> None:
    sigmoid = _node(model, "Sigmoid")
    model.graph.node.extend(
        [
            helper.make_node("Shape", [sigmoid.input[0]], ["shape"], "measure"),
            helper.make_node("Reshape", [sigmoid.input[0], "shape"], ["same"], "reshape"),
        ]
    )
    sigmoid.input[0] = "same"


def _free_dimension(model: onnx.ModelProto, place: int) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[place].dim_param = "anything"


def _transposed_axis(model: onnx.ModelProto) -> None:
    weight = next(n for n in model.graph.node if n.name.endswith("_weight_dequantize"))
    weight.attribute[0].i = 1


BREAK: dict[str, list[Callable[[onnx.ModelProto], object]]] = {
    "zero-point": [
        lambda m: _set(m, "centred_zero", np.int8(3)),
        lambda m: _set(m, "centred_zero", np.uint8(0)),
        lambda m: _node(m, "QuantizeLinear").input.pop(),
    ],
    "scale": [
        lambda m: _set(m, "centred_scale", np.float32(0)),
        lambda m: _set(m, "centred_scale", np.float32(np.inf)),
        lambda m: _set(m, "centred_scale", np.float32(1e-40)),
        lambda m: _set(m, "centred_scale", np.ones(3, np.float32)),
    ],
    "weights": [
        lambda m: _set(m, "_weight_q", np.full(_values(m, "_weight_q").shape, -128, np.int8)),
        lambda m: _set(m, "_weight_scale", np.float32(0.1)),
        _transposed_axis,
    ],
    "both-operands": [_skip_input_pair],
    "no-quantised-output": [_quantise_before_sigmoid, _quantise_both_branches],
    "no-sandwich": [_sandwich],
    "residual": [_float_short_cut],
    "float-bias": [lambda m: _set(m, "_bias", _values(m, "_bias").astype(np.int32))],
    "ports": [lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", TensorProto.INT8)],
    "opset": [lambda m: setattr(m.opset_import[0], "version", 21)],
    "shapes": [
        lambda m: _free_dimension(m, 0),
        lambda m: _free_dimension(m, 3),
        lambda m: m.graph.input[0].type.tensor_type.shape.dim[1].ClearField("dim_param"),
        lambda m: m.graph.output[0].type.tensor_type.ClearField("shape"),
        _computed_reshape,
    ],
    "operators": [_hard_swish, lambda m: setattr(_node(m, "Sigmoid"), "domain", "com.microsoft")],
    "gates": [_gate, _hard_swish],
    "dead": [_idle],
    "one-scale": [_two_scales_at_concat, _half_quantised_concat, _two_scales_at_pooling],
    "calibration": [lambda m: m.ClearField("metadata_props")],
}


_ALSO = {
    ("zero-point", 2): {"one-scale"},
    ("calibration", 0): {"no-quantised-output"},
    ("no-quantised-output", 1): {"one-scale"},
    ("shapes", 4): {"operators"},
    ("no-sandwich", 0): {"no-quantised-output"},
}


def test_there_are_sixteen_rules_and_each_is_broken_here() -> None:
    assert len(RULES) == 16
    assert set(BREAK) == set(RULES)


@pytest.mark.parametrize(("rule", "number"), [(rule, n) for rule, ways in BREAK.items() for n in range(len(ways))])
def test_each_rule_finds_its_breach(rule: str, number: int) -> None:
    model = _whole()
    BREAK[rule][number](model)
    found = {breach.rule for breach in lint(model)}
    assert rule in found
    # A broken model is broken in one way, so that each rule is seen to stand for itself; HardSwish is two.
    assert found <= {rule, "operators", "gates", *_ALSO.get((rule, number), ())}


@pytest.mark.parametrize("make", [chain, residual, depthwise, _whole])
def test_sound_networks_have_no_breach(make: Callable[[], onnx.ModelProto]) -> None:
    assert lint(make()) == []


def test_a_fixed_picture_is_as_good_as_a_named_one() -> None:
    net = Net(1)
    net.conv(8)
    net.relu()
    assert lint(net.model(picture=(64, 96))) == []


def test_a_head_in_float_is_allowed_but_not_a_network_in_float() -> None:
    """A squared-distance head stays in higher precision; then both its operands are float."""
    model = chain()
    head = _node(model, "Conv", 3)
    weight = next(n for n in model.graph.node if n.output[0] == head.input[1])
    codes, steps = (_values(model, weight.input[place]).astype(np.float32) for place in (0, 1))
    model.graph.initializer.append(numpy_helper.from_array(codes * steps[:, None, None, None], "head_weight"))
    pair = [n for n in model.graph.node if head.input[0] in n.output or f"{head.input[0][:-3]}_q" in n.output]
    head.input[0], head.input[1] = head.input[0].removesuffix("_dq"), "head_weight"
    for node in (*pair, weight):
        model.graph.node.remove(node)
    assert lint(model) == []
    for node in [n for n in model.graph.node if n.op_type == "Conv"]:
        node.input[0], node.input[1] = node.input[0].removesuffix("_dq"), "head_weight"
    assert "both-operands" in {breach.rule for breach in lint(model)}
