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
