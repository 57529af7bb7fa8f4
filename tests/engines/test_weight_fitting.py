"""Fitted weights lose less than rounded ones, and biases take back the mean error."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

import engines.quantize as quantize_module
from engines.float_network import open_float
from engines.metrics import spearman
from engines.qdq_rules import lint
from engines.quantize import quantize
from engines.training.export import build_onnx
from engines.weight_fitting import Moments, fit, patches

from .redness import noise_pictures
from .uneven import uneven_layers


def _moments(given: NDArray[np.float64], wanted: NDArray[np.float64]) -> Moments:
    rows = np.pad(given, ((0, 0), (0, 1)), constant_values=1.0)
    return Moments(rows.T @ rows, rows.T @ wanted)


def _layer(steps: float) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(0)
    mixing = rng.normal(0, 1, (4, 12))  # inputs go together, as neighbouring pixels do
    given = np.maximum(rng.normal(0.5, 1, (4000, 4)) @ mixing, 0)
    return given, rng.normal(0, 40 * steps, (5, 12)), np.full(5, steps)


def test_a_coarsely_stepped_layer_loses_less_than_by_rounding() -> None:
    given, weight, steps = _layer(1.0)
    weight /= 20  # a few codes only: a deliberately bad scale
    bias = np.linspace(-1, 1, 5)
    wanted = given @ weight.T + bias
    codes, offset = fit(_moments(given, wanted), weight, bias, steps)
    fitted = given @ (codes * steps[:, None]).T + offset - wanted
    rounded = given @ (np.rint(weight / steps[:, None]) * steps[:, None]).T + bias - wanted
    assert np.square(fitted).mean() < 0.5 * np.square(rounded).mean()
    assert np.abs(fitted.mean(axis=0)).max() < 0.01 * np.abs(rounded.mean(axis=0)).max()


def test_dead_inputs_leave_the_weights_near_where_they_were() -> None:
    given, weight, steps = _layer(1.0)
    given[:, 3] = 0.0
    codes, _ = fit(_moments(given, given @ weight.T), weight, np.zeros(5), steps)
    assert np.abs(codes[:, 3] - np.clip(weight[:, 3], -127, 127)).max() <= 1.0
    nothing, offset = fit(_moments(0 * given, 0 * given @ weight.T + 2.0), weight, np.full(5, 2.0), steps)
    assert np.abs(nothing - np.clip(weight, -127, 127)).max() <= 0.5 + 1e-6
    assert offset == pytest.approx(np.full(5, 2.0))


@pytest.mark.parametrize(("stride", "dilation", "pad"), [(1, 1, 1), (2, 1, 0), (1, 2, 2), (2, 3, 1)])
def test_patches_are_what_a_convolution_reads(stride: int, dilation: int, pad: int) -> None:
    rng = np.random.default_rng(1)
    planes = rng.normal(0, 1, (1, 4, 19, 23)).astype(np.float32)
    weight = rng.normal(0, 1, (6, 4, 3, 3)).astype(np.float32)
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], kernel_shape=[3, 3], strides=[stride] * 2, dilations=[dilation] * 2, pads=[pad] * 4
    )
    ports = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s) for n, s in (("x", planes.shape), ("y", None))]
    graph = helper.make_graph([node], "g", ports[:1], ports[1:], [onnx.numpy_helper.from_array(weight, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    answer = open_float(model).run(None, {"x": planes})[0][0]
    rows, cols = (index.ravel() for index in np.indices(answer.shape[1:]))
    ours = patches(planes[0], node, rows, cols) @ weight.reshape(6, -1).T
    assert np.abs(ours.T.reshape(answer.shape) - answer).max() < 1e-4


def test_the_whole_method_ranks_better_than_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_onnx(uneven_layers(), 1 / 64, "n")
    better = quantize(model, noise_pictures())[0]
    monkeypatch.setattr(quantize_module, "equalize", lambda network, _: network)
    monkeypatch.setattr(quantize_module, "fit_weights", lambda network, *_: network)
    plain = quantize(model, noise_pictures())[0]
    assert lint(better) == []
    picture = noise_pictures(9, side=128)[8]
    truth, new, old = (
        open_float(m).run(None, {"image": picture[np.newaxis]})[0].ravel().astype(np.float64)
        for m in (model, better, plain)
    )
    assert 1 - spearman(truth, new) < 0.3 * (1 - spearman(truth, old))
