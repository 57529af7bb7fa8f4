"""Quantisation needs real pictures, keeps to the rules, and stays close to the network it came from."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from engines.errors import EngineError
from engines.qdq_rules import lint
from engines.quantize import quantize
from engines.training.export import ConvLayer, build_onnx

from .redness import noise_pictures, redness_layers


def _deep_layers() -> list[ConvLayer]:
    rng = np.random.default_rng(3)
    layers, channels = [], 3
    for out, stride in ((8, 2), (12, 2), (12, 1)):
        weight = rng.normal(0, np.sqrt(2 / (9 * channels)), (out, channels, 3, 3)).astype(np.float32)
        layers.append(ConvLayer(weight, rng.normal(0, 0.1, out).astype(np.float32), stride))
        channels = out
    head = rng.normal(0, 0.5, (2, channels, 1, 1)).astype(np.float32)
    return [*layers, ConvLayer(head, np.zeros(2, np.float32), relu=False)]


def _run(model: onnx.ModelProto, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    answer: NDArray[np.float32] = session.run(None, {"image": picture[np.newaxis]})[0]
    return answer


@pytest.mark.parametrize("count", [0, 1, 7])
def test_too_few_pictures_are_refused(count: int) -> None:
    with pytest.raises(EngineError, match=f"^{count} calibration pictures") as caught:
        quantize(build_onnx(redness_layers(), 1 / 64, "n"), noise_pictures(count))
    assert "real fields" in caught.value.remedy


def test_pictures_of_nothing_are_refused() -> None:
    blank = [np.full((32, 32, 3), level, np.uint8) for level in range(8)]
    with pytest.raises(EngineError, match="one colour"):
        quantize(build_onnx(redness_layers(), 1 / 64, "n"), blank)


def test_a_network_without_constant_weights_is_refused() -> None:
    model = build_onnx(redness_layers(), 1 / 64, "n")
    model.graph.input.append(helper.make_tensor_value_info("conv0_weight", onnx.TensorProto.FLOAT, [1, 3, 3, 3]))
    kept = [i for i in model.graph.initializer if i.name != "conv0_weight"]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    with pytest.raises(EngineError, match="computed, not constant"):
        quantize(model, noise_pictures())


def test_the_result_keeps_the_rules_and_stays_close() -> None:
    model = build_onnx(_deep_layers(), 1 / 64, "n")
    quantised, calibration = quantize(model, noise_pictures())
    assert lint(quantised) == []
    assert calibration.images == 8
    picture = np.random.default_rng(9).integers(0, 256, (72, 56, 3), dtype=np.uint8)
    difference = np.abs(_run(quantised, picture) - _run(model, picture))
    assert difference.max() < 0.1
    assert difference.mean() < 0.01


def test_the_pixels_themselves_lose_nothing() -> None:
    quantised, _ = quantize(build_onnx(_deep_layers(), 1 / 64, "n"), noise_pictures())
    scales = {i.name: numpy_helper.to_array(i) for i in quantised.graph.initializer}
    assert float(scales["centred_scale"]) == 1.0


def test_the_digest_depends_on_pictures_and_their_order() -> None:
    model = build_onnx(redness_layers(), 1 / 64, "n")
    pictures = noise_pictures()
    first, again = quantize(model, pictures)[1], quantize(model, pictures)[1]
    turned = quantize(model, pictures[::-1])[1]
    assert first == again
    assert first.sha256 != turned.sha256


def test_white_noise_is_refused() -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(12)]
    with pytest.raises(EngineError, match="only 0 show something"):
        quantize(build_onnx(redness_layers(), 1 / 64, "n"), noise)


def test_one_picture_many_times_is_refused() -> None:
    with pytest.raises(EngineError, match="only 1 differ"):
        quantize(build_onnx(redness_layers(), 1 / 64, "n"), noise_pictures(1) * 20)


def test_blank_fields_may_stand_among_others() -> None:
    blank = [np.full((64, 64, 3), level, np.uint8) for level in (200, 210)]
    _, calibration = quantize(build_onnx(redness_layers(), 1 / 64, "n"), [*noise_pictures(8), *blank])
    assert calibration.images == 10


def test_a_big_picture_gives_the_scales_of_its_pieces() -> None:
    """The budget cuts pictures; a picture that is four copies of a smaller one has the same steps inside."""
    model = build_onnx(_deep_layers(), 1 / 64, "n")
    small = noise_pictures(8, side=512)
    big = [np.tile(picture, (2, 2, 1)) for picture in small]
    one, other = (quantize(model, pictures)[0] for pictures in (small, big))
    for name in ("relu0_out_scale", "relu1_out_scale", "relu2_out_scale"):
        assert _constant(one, name) == pytest.approx(_constant(other, name), rel=1e-6)


def _constant(model: onnx.ModelProto, name: str) -> float:
    return float(numpy_helper.to_array(next(i for i in model.graph.initializer if i.name == name)))


def test_a_dead_channel_s_bias_stays_within_int32() -> None:
    layers = _deep_layers()
    layers[1].weight[0] = 1e-30
    layers[1].bias[0] = 3.0
    quantised, _ = quantize(build_onnx(layers, 1 / 64, "n"), noise_pictures())
    constants = {i.name: numpy_helper.to_array(i) for i in quantised.graph.initializer}
    step = constants["relu0_out_scale"] * constants["conv1_weight_scale"]
    assert np.abs(constants["conv1_out_bias"] / step).max() < 2**31
    assert lint(quantised) == []


def test_biases_lie_in_whole_steps_of_the_integers_that_a_runtime_may_keep() -> None:
    model, _ = quantize(build_onnx(_deep_layers(), 1 / 64, "deep"), noise_pictures(8))
    constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    producer = {name: node for node in model.graph.node for name in node.output}
    biased = [node for node in model.graph.node if node.op_type == "Conv"]
    assert len(biased) >= 2
    for node in biased:
        steps = [constants[producer[name].input[1]].astype(np.float64) for name in node.input[:2]]
        multiples = constants[node.input[2]] / (steps[0] * steps[1])
        assert np.abs(multiples - np.rint(multiples)).max() < 0.01 * max(1.0, float(np.abs(multiples).max()) * 1e-5)


@pytest.mark.parametrize("transposed", [0, 1])
def test_a_gemm_is_written_with_output_channels_first(transposed: int) -> None:
    rng = np.random.default_rng(4)
    weight = rng.normal(0, 1, (3, 5)).astype(np.float32)
    nodes = [
        *build_onnx(redness_layers(), 1 / 64, "n").graph.node[:3],
        helper.make_node("GlobalAveragePool", ["centred"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], ["answer"], "fc", alpha=2.0, beta=0.5, transB=transposed),
    ]
    constants = [
        numpy_helper.from_array(np.float32(128), "grey"),
        numpy_helper.from_array(np.ascontiguousarray(weight.T if transposed else weight), "w"),
        numpy_helper.from_array(np.ones((1, 5), np.float32), "b"),
    ]
    ports = [helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, [1, "h", "w", 3])]
    answer = [helper.make_tensor_value_info("answer", onnx.TensorProto.FLOAT, [1, 5])]
    model = helper.make_model(
        helper.make_graph(nodes, "g", ports, answer, constants), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 8
    quantised, _ = quantize(model, noise_pictures())
    assert [breach for breach in lint(quantised) if breach.rule != "shapes"] == []
    picture = noise_pictures(9)[8]
    wanted = _run(model, picture)
    assert np.abs(_run(quantised, picture) - wanted).max() < 0.02 * np.abs(wanted).max() + 0.5
    stored = next(i for i in quantised.graph.initializer if i.name == "fc_weight_q")
    assert tuple(stored.dims) == (5, 3)


def test_pooling_between_quantised_tensors_keeps_one_scale() -> None:
    """Both sides of the pooling feed a convolution, so both are quantised."""
    rng = np.random.default_rng(5)
    base = build_onnx(redness_layers(), 1 / 64, "n").graph.node[:3]
    nodes = [
        *base,
        helper.make_node("MaxPool", ["centred"], ["small"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["centred", "w1"], ["one"], "c1", kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2]),
        helper.make_node("Conv", ["small", "w2"], ["two"], "c2", kernel_shape=[3, 3], pads=[1] * 4),
        helper.make_node("Concat", ["one", "two"], ["both"], "join", axis=1),
        helper.make_node("Sigmoid", ["both"], ["answer"], "end"),
    ]
    constants = [numpy_helper.from_array(np.float32(128), "grey")]
    constants += [
        numpy_helper.from_array(rng.normal(0, 0.1, (2, 3, 3, 3)).astype(np.float32), name) for name in ("w1", "w2")
    ]
    ports = [helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, [1, 64, 64, 3])]
    answer = [helper.make_tensor_value_info("answer", onnx.TensorProto.FLOAT, [1, 4, 32, 32])]
    model = helper.make_model(
        helper.make_graph(nodes, "g", ports, answer, constants), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 8
    quantised, _ = quantize(model, noise_pictures())
    assert lint(quantised) == []
    assert _constant(quantised, "centred_scale") == _constant(quantised, "small_scale")
    pool = next(node for node in quantised.graph.node if node.op_type == "MaxPool")
    assert pool.input[0] == "centred_dq"
