"""The CPU runtime on a small known network."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from engines.errors import BadInput, BadPackage, EngineError
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import EnginePackage


def _grey(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 150, np.uint8)


def _with_network(package: EnginePackage, model: onnx.ModelProto) -> EnginePackage:
    return EnginePackage(package.manifest, package.folder, model.SerializeToString())


def _identity_model(dtype: int, shape: list[int | str], channels: int) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Cast", ["image"], ["as_float"], to=TensorProto.FLOAT),
        helper.make_node("Identity", ["as_float"], ["probability"]),
    ]
    ports = [helper.make_tensor_value_info("image", dtype, shape)]
    out = [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [1, channels, "r", "c"])]
    graph = helper.make_graph(nodes, "wrong", ports, out)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


@pytest.mark.parametrize(("height", "width"), [(64, 96), (61, 97), (121, 64)])
def test_a_red_spot_is_found_where_it_is(package: EnginePackage, height: int, width: int) -> None:
    scorer = OnnxCpuScorer(package)
    picture = _grey(height, width)
    picture[28:33, 38:43] = (220, 40, 90)
    (found,) = scorer.score(picture, 0.2)
    assert found.label == "red"
    assert found.probability > 0.9
    assert abs(found.x_px - 40) <= 2
    assert abs(found.y_px - 30) <= 2
    assert (found.width_px, found.height_px) == (20.0, 10.0)


def test_nothing_on_grey(package: EnginePackage) -> None:
    assert OnnxCpuScorer(package).score(_grey(64, 64), 0.2) == []


def test_a_picture_that_is_not_contiguous(package: EnginePackage) -> None:
    picture = _grey(64, 64)
    picture[30:35, 10:15] = (220, 40, 90)
    (found,) = OnnxCpuScorer(package).score(picture.transpose(1, 0, 2), 0.2)
    assert abs(found.x_px - 32) <= 2
    assert abs(found.y_px - 12) <= 2


@pytest.mark.parametrize("um_per_px", [0.088, 0.1465, 0.293])
def test_another_scale_is_refused_and_both_are_named(package: EnginePackage, um_per_px: float) -> None:
    with pytest.raises(BadInput) as caught:
        OnnxCpuScorer(package).score(_grey(64, 64), um_per_px)
    assert f"{um_per_px:.4g}" in caught.value.what
    assert "0.15 to 0.25" in caught.value.what


@pytest.mark.parametrize(
    "picture", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3), np.float32)]
)
def test_another_shape_or_type_is_refused(package: EnginePackage, picture: NDArray[np.uint8]) -> None:
    with pytest.raises(BadInput, match="uint8 RGB"):
        OnnxCpuScorer(package).score(picture, 0.2)


def test_the_backend_says_what_ran(package: EnginePackage) -> None:
    backend = OnnxCpuScorer(package).backend
    assert backend.engine == "redness 1.2.3"
    assert backend.onnx_sha256 == package.manifest.onnx.sha256
    assert backend.runtime.startswith("onnxruntime ")


def test_closing_twice_and_using_it_then(package: EnginePackage) -> None:
    scorer = OnnxCpuScorer(package)
    scorer.close()
    scorer.close()
    with pytest.raises(EngineError, match="closed"):
        scorer.score(_grey(64, 64), 0.2)


def test_float_input_is_refused(package: EnginePackage) -> None:
    wrong = _with_network(package, _identity_model(TensorProto.FLOAT, [1, "h", "w", 3], 1))
    with pytest.raises(BadPackage, match="uint8 NHWC"):
        OnnxCpuScorer(wrong)


def test_planes_first_is_refused(package: EnginePackage) -> None:
    wrong = _with_network(package, _identity_model(TensorProto.UINT8, [1, 3, "h", "w"], 1))
    with pytest.raises(BadPackage, match="uint8 NHWC"):
        OnnxCpuScorer(wrong)


def test_another_number_of_channels_is_refused(package: EnginePackage) -> None:
    wrong = _with_network(package, _identity_model(TensorProto.UINT8, [1, "h", "w", 3], 2))
    with pytest.raises(BadPackage, match="manifest promises"):
        OnnxCpuScorer(wrong)
