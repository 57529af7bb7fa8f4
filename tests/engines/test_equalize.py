"""Equalising channels changes nothing that the FP32 network says, and evens out what quantisation has to hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from engines.activation_scales import channel_steps
from engines.equalize import equalize, factors, joints
from engines.float_network import open_float, prepare
from engines.training.export import build_onnx

from .redness import noise_pictures
from .uneven import uneven_layers


def _answer(model: onnx.ModelProto, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    answer: NDArray[np.float32] = open_float(model).run(None, {"image": picture[np.newaxis]})[0]
    return answer


def test_the_network_says_what_it_said() -> None:
    model = prepare(build_onnx(uneven_layers(), 1 / 64, "n"))
    after = equalize(model, noise_pictures())
    picture = noise_pictures(9)[8]
    assert np.abs(_answer(after, picture) - _answer(model, picture)).max() < 1e-5
    assert after != model


def test_channels_come_to_like_ranges() -> None:
    model = prepare(build_onnx(uneven_layers(), 1 / 64, "n"))
    after = equalize(model, noise_pictures())
    before, even = (channel_steps(m, ["relu0_out"], noise_pictures())["relu0_out"] for m in (model, after))
    assert before.min() < 0.05 * before.max()
    assert np.log(even / even.max()) == pytest.approx(0.5 * np.log(before / before.max()), abs=0.02)


def test_a_channel_that_no_picture_wakes_stays() -> None:
    layers = uneven_layers()
    layers[0].weight[2] = 0.0
    layers[0].bias[2] = -1.0
    model = prepare(build_onnx(layers, 1 / 64, "n"))
    after = equalize(model, noise_pictures())
    picture = noise_pictures(9)[8]
    assert np.abs(_answer(after, picture) - _answer(model, picture)).max() < 1e-5
    assert factors(np.array([0.0, 1.0, 1e-30])).min() > 1e-4


def test_a_branch_is_left_alone() -> None:
    model = prepare(build_onnx(uneven_layers(), 1 / 64, "n"))
    assert [joint.tensor for joint in joints(model)] == ["relu0_out", "relu1_out", "relu2_out"]
    model.graph.output.append(helper.make_tensor_value_info("relu1_out", onnx.TensorProto.FLOAT, None))
    assert [joint.tensor for joint in joints(model)] == ["relu0_out", "relu2_out"]


@pytest.mark.parametrize("kind", ["Sigmoid", "Tanh"])
def test_an_operator_that_bends_is_no_joint(kind: str) -> None:
    model = prepare(build_onnx(uneven_layers(), 1 / 64, "n"))
    next(node for node in model.graph.node if node.output[0] == "relu1_out").op_type = kind
    assert "relu1_out" not in [joint.tensor for joint in joints(model)]


def test_a_network_without_joints_passes() -> None:
    layers = [replace(uneven_layers()[0], relu=False)]
    model = prepare(build_onnx(layers, 1 / 64, "n"))
    assert equalize(model, noise_pictures()) == model
