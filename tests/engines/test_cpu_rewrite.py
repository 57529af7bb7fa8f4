"""The derived form answers as the file does, and runs on integers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from engines.cpu_network import open_session
from engines.cpu_rewrite import rewrite
from engines.cpu_rewrite.branches import BRANCH_KEY, quantise_branches
from engines.cpu_rewrite.graph import Graph
from engines.errors import BadPackage

from .qdq_nets import Net, chain, depthwise, residual, run

Picture = NDArray[np.uint8]
INTEGER = ("QLinearConv", "MatMulIntegerToFloat")


def _picture(height: int, width: int, seed: int = 0) -> Picture:
    """Smooth spots with noise, over the whole range."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (-(-height // 8), -(-width // 8), 3)).repeat(8, axis=0).repeat(8, axis=1)
    noisy = coarse[:height, :width] + rng.normal(0, 12, (height, width, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def _with_branches(model: onnx.ModelProto) -> onnx.ModelProto:
    """The file with its hinted branches quantised as the hints say, and nothing else changed."""
    graph = Graph(model)
    quantise_branches(graph)
    return graph.model()


def _operators(model: onnx.ModelProto, folder: Path) -> Counter[str]:
    """Operators of the graph as ONNX Runtime runs it."""
    path = folder / "optimised.onnx"
    open_session(model.SerializeToString(), 1, optimised=path)
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def _convolutions(model: onnx.ModelProto) -> int:
    return sum(node.op_type == "Conv" for node in model.graph.node)


@pytest.mark.parametrize("make", [chain, residual, depthwise])
@pytest.mark.parametrize("fours", [False, True])
def test_no_float_convolution_remains(make: Callable[[], onnx.ModelProto], fours: bool, tmp_path: Path) -> None:
    model = make()
    found = _operators(rewrite(model, widths_of_four=fours), tmp_path)
    assert found["QLinearConv"] == _convolutions(model) - 1
    assert found["MatMulIntegerToFloat"] == 1, "the head, whose result stays float"
    assert not {"Conv", "FusedConv", "Relu", "Cast", "Sub", "QuantizeLinear"} & set(found)
    assert found["QLinearAdd"] == sum(node.op_type == "Add" for node in model.graph.node)


def test_no_float_product_remains_where_the_size_is_fixed(tmp_path: Path) -> None:
    """ONNX Runtime joins more when it knows all shapes, a product and its bias into a float Gemm among them."""
    net = Net(4)
    net.conv(16, kernel=3, stride=2)
    net.relu()
    net.conv(32, kernel=1)
    net.clip(6.0)
    net.apply("GlobalAveragePool", [net.tensor], 32)
    found = _operators(rewrite(net.model(picture=(32, 64)), widths_of_four=True), tmp_path)
    assert not {"Gemm", "FusedGemm", "MatMul", "FusedMatMul", "Conv", "FusedConv"} & set(found)


@pytest.mark.parametrize("make", [chain, residual, depthwise])
def test_the_file_as_it_is_runs_in_float(make: Callable[[], onnx.ModelProto], tmp_path: Path) -> None:
    """Why there is a rewrite at all; when this fails, ONNX Runtime has learned what the rewrite does."""
    found = _operators(make(), tmp_path)
    assert found["Conv"] + found["FusedConv"] > found["QLinearConv"]


@pytest.mark.parametrize("make", [chain, residual, depthwise])
@pytest.mark.parametrize(("height", "width"), [(64, 96), (61, 97), (40, 42)])
def test_the_answers_are_those_of_the_file(make: Callable[[], onnx.ModelProto], height: int, width: int) -> None:
    model, picture = make(), _picture(height, width)
    expected = run(_with_branches(model), picture, to_the_letter=True)
    difference = np.abs(run(rewrite(model), picture) - expected)
    assert np.ptp(expected) > 0.2
    assert difference.max() <= 0.01 * np.ptp(expected)
    # Biases lie on the grid of the sums here, so that codes are the same but where float rounding meets a half.
    assert np.mean(difference > 1e-5) <= 0.01
    if width % 4 == 0:
        assert np.array_equal(run(rewrite(model, widths_of_four=True), picture), run(rewrite(model), picture))


def test_without_hints_a_branch_stays_float(tmp_path: Path) -> None:
    model = residual(hinted=False)
    found = _operators(rewrite(model), tmp_path)
    assert found["Conv"] + found["FusedConv"] == 2
    picture = _picture(64, 64)
    expected = run(model, picture, to_the_letter=True)
    assert np.abs(run(rewrite(model), picture) - expected).max() <= 0.01 * np.ptp(expected)


def test_rewriting_leaves_the_file_alone_and_is_repeatable() -> None:
    model = residual()
    before = model.SerializeToString(deterministic=True)
    first = rewrite(model, widths_of_four=True).SerializeToString(deterministic=True)
    assert model.SerializeToString(deterministic=True) == before
    assert rewrite(model, widths_of_four=True).SerializeToString(deterministic=True) == first


def test_codes_above_the_files_highest_are_cut() -> None:
    """A scale so small that most values lie beyond code 127: the unsigned form has room for 255 and must not use it."""
    net = Net(1)
    net.conv(8, stride=2)
    net.relu()
    net.conv(8, scale=0.002)
    net.clip(6.0)
    net.conv(8, scale=0.002)
    net.relu()
    model, picture = net.model(), _picture(48, 48)
    expected = run(model, picture, to_the_letter=True)
    assert np.abs(run(rewrite(model), picture) - expected).max() <= 0.01 * np.ptp(expected)


def test_a_bias_beyond_int32_survives() -> None:
    """Weights all but zero, as a dead channel has them, beside a bias that matters.

    ONNX Runtime itself loses such a bias when it quantises the file as it is.
    """
    model = chain()
    steps = [i for i in model.graph.initializer if i.name.endswith("_weight_scale")][1]
    values = numpy_helper.to_array(steps).copy()
    values[:3] = 1e-30
    steps.CopyFrom(numpy_helper.from_array(values, steps.name))
    picture = _picture(48, 48)
    expected = run(model, picture, to_the_letter=True)
    assert np.abs(run(rewrite(model), picture) - expected).max() <= 0.01 * np.ptp(expected)


@pytest.mark.parametrize("grey", [100.0, 128.0, 0.0])
def test_pixels_go_straight_in(grey: float) -> None:
    """Also where the file would clip pixels far from its grey: then the derived form has more, and is not compared."""
    net = Net(2, grey=grey)
    net.conv(8, kernel=5, stride=2)
    net.relu()
    derived = rewrite(net.model())
    assert "Sub" not in {node.op_type for node in derived.graph.node}
    zeros = {i.name: numpy_helper.to_array(i) for i in derived.graph.initializer}
    assert int(zeros["pixel_zero"]) == int(grey)


@pytest.mark.parametrize("grey", [100.5, -3.0, 300.0])
def test_other_prologues_stay(grey: float) -> None:
    net = Net(2, grey=grey)
    net.conv(8, kernel=5, stride=2)
    net.relu()
    model, picture = net.model(), _picture(32, 32)
    assert "Sub" in {node.op_type for node in rewrite(model).graph.node}
    assert np.abs(run(rewrite(model), picture) - run(model, picture)).max() <= 0.01


@pytest.mark.parametrize("kernel", [1, 3, 4, 5, 7])
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_first_layers_of_any_kernel_in_fours(kernel: int, stride: int) -> None:
    net = Net(kernel + stride)
    net.conv(8, kernel=kernel, stride=stride)
    net.relu()
    model, picture = net.model(), _picture(37, 48)
    assert np.array_equal(run(rewrite(model, widths_of_four=True), picture), run(rewrite(model), picture))


def test_a_picture_of_fixed_odd_width_is_not_grouped() -> None:
    net = Net(3)
    net.conv(8, kernel=3, stride=2)
    net.relu()
    model, picture = net.model(picture=(32, 30)), _picture(32, 30)
    assert np.array_equal(run(rewrite(model, widths_of_four=True), picture), run(rewrite(model), picture))


def _break_hints(model: onnx.ModelProto, text: str) -> onnx.ModelProto:
    helper.set_model_props(model, {BRANCH_KEY: text})
    return model


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": "b"}', '{"a": -1}', '{"a": null}', '{"a": Infinity}'])
def test_malformed_hints_are_refused(text: str) -> None:
    with pytest.raises(BadPackage, match=BRANCH_KEY):
        rewrite(_break_hints(residual(), text))


def test_hints_for_tensors_that_are_not_there_are_ignored() -> None:
    hinted, plain = _break_hints(chain(), '{"nothing": 0.1}'), chain()
    picture = _picture(32, 32)
    assert np.array_equal(run(rewrite(hinted), picture), run(rewrite(plain), picture))


def test_a_step_that_is_computed_is_refused() -> None:
    model = chain()
    del model.graph.initializer[:]
    with pytest.raises(BadPackage, match="no constant step"):
        rewrite(model)


@st.composite
def _networks(draw: st.DrawFn) -> onnx.ModelProto:
    net = Net(draw(st.integers(0, 1 << 16)))
    net.conv(draw(st.integers(1, 16)), draw(st.sampled_from([1, 3, 5, 7])), draw(st.sampled_from([1, 2])))
    for _ in range(draw(st.integers(1, 4))):
        match draw(st.sampled_from(["relu", "clip", "conv", "depthwise", "pool", "residual", "fork"])):
            case "relu":
                net.relu()
            case "clip":
                net.clip(draw(st.sampled_from([1.0, 6.0, 100.0])))
            case "conv":
                net.conv(draw(st.integers(1, 20)), 3, draw(st.sampled_from([1, 2])), draw(st.sampled_from([1, 2, 4])))
            case "depthwise":
                net.relu()
                net.conv(0, depthwise=True)
            case "pool":
                net.max_pool()
            case "residual":
                net.relu()
                net.residual(rectified=draw(st.booleans()))
            case _:
                net.relu()
                net.fork(draw(st.integers(1, 8)))
    return net.model()


@settings(max_examples=60, deadline=None)
@given(_networks(), st.integers(9, 40), st.integers(2, 10), st.integers(0, 3), st.integers(0, 1 << 16))
def test_any_network_of_these_parts_answers_the_same(
    model: onnx.ModelProto, height: int, fours: int, more: int, seed: int
) -> None:
    picture = _picture(height, 4 * fours + more, seed)
    expected = run(_with_branches(model), picture, to_the_letter=True)
    derived = run(rewrite(model), picture)
    difference = np.abs(derived - expected)
    assert difference.max() <= 0.02
    assert np.mean(difference > 1e-5) <= 0.05
    if more == 0:
        assert np.array_equal(run(rewrite(model, widths_of_four=True), picture), derived)
