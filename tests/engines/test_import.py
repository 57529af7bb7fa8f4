"""A customer's network, from FP32 ONNX to findings; and every way in which one will not do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.errors import EngineError
from engines.gates import SPEARMAN
from engines.importing import LEAST_SPEARMAN, Request, import_network
from engines.importing.wrap import PRESETS
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import MODEL_CARD, Label, OperatingPointSpec, Scale, load_package
from engines.qdq_rules import lint
from engines.quantize import quantize
from engines.training.export import build_onnx

from .public_nets import SIDE, Builder, fields, mobilenet, resnet, write_fields
from .redness import noise_pictures, redness_layers

RED = Label(name="malignant", target=True, box_um=(6.0, 6.0), separation_um=4.0)
POINT = OperatingPointSpec(
    name="unmeasured", threshold=0.5, sensitivity=0, false_per_mm2=0, false_per_cell=0, source="none"
)


def request(tmp_path: Path, model: onnx.ModelProto | bytes, **changes: object) -> Request:
    """An import of `model` with ImageNet pixels and a sigmoid; 16 fields unless the folder is there already."""
    source, pictures = tmp_path / "customer.onnx", tmp_path / "fields"
    source.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    if not pictures.exists():
        write_fields(pictures, 16)
    plain = Request(
        source=source,
        calibration=pictures,
        out=tmp_path / "package",
        name="customer",
        version="0.1.0",
        assay="serous",
        labels=(RED,),
        scale=Scale(native_um_per_px=0.3, min_um_per_px=0.27, max_um_per_px=0.33),
        normalisation=PRESETS["imagenet"],
        head="sigmoid",
        report_threshold=0.2,
        point=POINT,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def refusal(asked: Request) -> EngineError:
    """The error with which the import ends; nothing may be left behind."""
    before = sorted(asked.out.parent.iterdir())
    with pytest.raises(EngineError) as caught:
        import_network(asked, lambda _: None)
    assert caught.value.remedy
    assert sorted(asked.out.parent.iterdir()) == before
    return caught.value


def test_a_mobilenet_heat_map_finds_what_is_red(tmp_path: Path) -> None:
    done = import_network(request(tmp_path, mobilenet()), lambda _: None)
    package = load_package(tmp_path / "package")
    model = onnx.load_from_string(package.onnx_bytes)
    assert lint(model) == []
    assert sum(node.op_type == "QuantizeLinear" for node in model.graph.node) == 9  # 9 inputs, one shared by its Add
    assert package.manifest.tiling is None
    assert package.manifest.output.stride == 4
    assert done.gate.value >= LEAST_SPEARMAN
    assert package.manifest.parity is not None
    assert package.manifest.parity.max_abs_delta < 0.25
    scorer = OnnxCpuScorer(package)
    picture = np.full((121, 163, 3), (200, 200, 205), np.uint8)
    picture[50:66, 90:106] = (190, 60, 100)
    found = max(scorer.score(picture, 0.3), key=lambda d: d.probability)
    assert abs(found.x_px - 98) <= 8
    assert abs(found.y_px - 58) <= 8


def test_a_resnet_classifier_is_read_in_tiles(tmp_path: Path) -> None:
    done = import_network(request(tmp_path, resnet(), labels=(None, RED), head="softmax"), lambda _: None)
    package = load_package(tmp_path / "package")
    tiling = package.manifest.tiling
    assert tiling is not None
    assert (tiling.answers, tiling.height_px, tiling.width_px) == ("field", SIDE, SIDE)
    assert package.manifest.output.stride == SIDE // 2
    assert done.gate.value >= LEAST_SPEARMAN
    maps = OnnxCpuScorer(package).probabilities(_half_red(160, 224))
    assert maps.shape == (1, 5, 7)
    assert maps[0, :, 5:].min() > maps[0, :, :2].max() + 0.3


def test_the_card_says_what_was_measured_and_what_is_not_known(tmp_path: Path) -> None:
    done = import_network(request(tmp_path, mobilenet(), notes=("It was guessed.",)), lambda _: None)
    text = (tmp_path / "package" / MODEL_CARD).read_text(encoding="utf-8")
    parity = done.package.manifest.parity
    assert parity is not None
    assert f"{parity.spearman:.4f}" in text
    assert ("as wanted" in text) == (parity.spearman >= SPEARMAN)
    for part in ("Research use only", "Not known", "trained on", "unmeasured", "It was guessed.", "customer.onnx"):
        assert part in text


def test_residuals_are_quantised_and_the_other_branch_is_hinted() -> None:
    quantised, _ = quantize(_wrapped(resnet()), fields(8))
    assert lint(quantised) == []
    made = {name: node.op_type for node in quantised.graph.node for name in node.output}
    adds = [node for node in quantised.graph.node if node.op_type == "Add"]
    assert [sorted(made[name] for name in node.input) for node in adds] == [["Conv", "DequantizeLinear"]] * 2
    hints = next(entry.value for entry in quantised.metadata_props if entry.key == "cpu_branch_scales")
    assert all(name in hints for node in adds for name in node.input if made[name] == "Conv")
    assert not any(node.op_type == "BatchNormalization" for node in quantised.graph.node)


def _wrapped(model: onnx.ModelProto) -> onnx.ModelProto:
    from engines.float_network import prepare  # noqa: PLC0415
    from engines.importing.ports import describe  # noqa: PLC0415
    from engines.importing.wrap import with_pixels_in, with_probabilities_out  # noqa: PLC0415

    ready = prepare(model)
    inner = with_pixels_in(ready, describe(ready), PRESETS["imagenet"], (SIDE, SIDE))
    return with_probabilities_out(inner, "softmax", None, (1, 2))


@pytest.mark.parametrize("opset", [11, 18, 21])
def test_other_opsets_are_brought_to_one_both_runtimes_read(tmp_path: Path, opset: int) -> None:
    asked = request(tmp_path, resnet(opset), labels=(None, RED), head="softmax")
    assert import_network(asked, lambda _: None).package.manifest.onnx.opset in range(13, 18)


def test_a_map_of_one_size_is_put_together_from_tiles(tmp_path: Path) -> None:
    """A network that folds its size into the graph, as an up-sampling to 16 x 16 cells does, is tiled at run time."""
    b = Builder(3)
    small = b.node("Relu", [b.conv("pixel_values", (8, 3, 3, 3), stride=8)])
    sizes = b.constant(np.array([1, 8, 16, 16], np.int64))
    grown = b.node("Resize", [small, "", "", sizes], mode="nearest")
    weight = b.constant(np.random.default_rng(0).normal(0, 1, (1, 8, 1, 1)).astype(np.float32))
    b.node("Conv", [grown, weight])
    b.nodes[-1].output[0] = "logits"
    model = b.model([1, 3, SIDE, SIDE], "logits", [1, 1, 16, 16])
    done = import_network(request(tmp_path, model), lambda _: None)
    tiling = done.package.manifest.tiling
    assert tiling is not None
    assert (tiling.answers, tiling.height_px, done.package.manifest.output.stride) == ("map", SIDE, 4)
    assert OnnxCpuScorer(done.package).probabilities(_half_red(100, 130)).shape == (1, 25, 33)


def test_a_network_with_uint8_input_is_taken_as_it_is(tmp_path: Path) -> None:
    done = import_network(request(tmp_path, build_onnx(redness_layers(), 1 / 64, "n"), head="none"), lambda _: None)
    assert done.package.manifest.output.stride == 2
    assert done.package.manifest.origin is not None
    assert done.package.manifest.origin.pixels == "uint8 NHWC"


def _half_red(height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    picture = np.full((height, width, 3), (200, 200, 205), np.uint8)
    picture[:, width // 2 :] = (190, 60, 100)
    return picture


def _ported(kind: int, shape: list[int | str] | None) -> onnx.ModelProto:
    model = mobilenet()
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("pixel_values", kind, shape))
    return model


def _computed_weights() -> onnx.ModelProto:
    b = Builder()
    pooled = b.node("GlobalAveragePool", ["pixel_values"])
    weight = b.node("Mul", [pooled, b.constant(np.ones((1, 3, 1, 1), np.float32))])
    b.node("Conv", ["pixel_values", weight])
    return b.model([1, 3, "h", "w"], b.nodes[-1].output[0], [1, 1, "h", "w"])


def _with_operator(kind: str, domain: str = "") -> onnx.ModelProto:
    model = mobilenet()
    model.graph.node.append(helper.make_node(kind, ["logits"], ["last"], domain=domain))
    model.graph.output[0].name = "last"
    if domain:
        model.opset_import.append(helper.make_opsetid(domain, 1))
    return model


def _answering(shape: list[int]) -> onnx.ModelProto:
    b = Builder()
    flat = b.node("Flatten", [b.node("GlobalAveragePool", [b.conv("pixel_values", (4, 3, 3, 3))])])
    weight = b.constant(np.ones((4, int(np.prod(shape))), np.float32))
    b.node("Reshape", [b.node("Gemm", [flat, weight]), b.constant(np.array(shape, np.int64))])
    return b.model([1, 3, SIDE, SIDE], b.nodes[-1].output[0], list(shape))


def _half_precision() -> onnx.ModelProto:
    model = mobilenet()
    weight = model.graph.initializer[0]
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), weight.name))
    return model


NETWORKS: dict[str, tuple[Callable[[], onnx.ModelProto | bytes], str]] = {
    "not an ONNX": (lambda: b"%PDF-1.4 not a network", "is not an ONNX file"),
    "empty file": (lambda: b"", "is not an ONNX file"),
    "already quantised": (
        lambda: quantize(build_onnx(redness_layers(), 1 / 64, "n"), noise_pictures())[0],
        "already quantised",
    ),
    "dynamic rank": (lambda: _ported(TensorProto.FLOAT, None), "no fixed number of dimensions"),
    "three dimensions": (lambda: _ported(TensorProto.FLOAT, [3, "h", "w"]), "has 3 dimensions"),
    "one channel": (lambda: _ported(TensorProto.FLOAT, [1, 1, "h", "w"]), "1 channels"),
    "unknown channels": (lambda: _ported(TensorProto.FLOAT, [1, "c", "h", "w"]), "an unknown number of channels"),
    "batch of four": (lambda: _ported(TensorProto.FLOAT, [4, 3, "h", "w"]), "batches of 4"),
    "computed weights": (_computed_weights, "computed, not constant"),
    "unsupported operator": (lambda: _with_operator("HardSwish"), "operators: .*HardS"),
    "foreign operator": (lambda: _with_operator("Magic", "com.example"), "com.example::Magic"),
    "half precision": (_half_precision, "half-precision"),
    "boxes": (lambda: _answering([1, 20, 6]), r"answers \(1, 20, 6\)"),
    "another number of classes": (lambda: mobilenet(2), "answers 2 classes, and 1 labels"),
}


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_a_network_that_will_not_do(tmp_path: Path, name: str) -> None:
    make, said = NETWORKS[name]
    asked = request(tmp_path, make())
    with pytest.raises(EngineError, match=said):
        raise refusal(asked)


def test_logits_without_a_head_are_told_from_probabilities(tmp_path: Path) -> None:
    assert "--head sigmoid" in refusal(request(tmp_path, mobilenet(), head="none")).remedy


def test_a_second_sigmoid_is_noticed(tmp_path: Path) -> None:
    error = refusal(request(tmp_path, build_onnx(redness_layers(), 1 / 64, "n"), head="sigmoid"))
    assert "it seems that they were probabilities" in error.what


def test_a_classifier_of_any_size_needs_to_be_told_its_own(tmp_path: Path) -> None:
    model = resnet()
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, [1, 3, "h", "w"]))
    asked = request(tmp_path, model, labels=(None, RED), head="softmax")
    assert "--tile" in refusal(asked).remedy
    done = import_network(replace(asked, tile_px=48, step_px=48), lambda _: None)
    assert done.package.manifest.tiling is not None
    assert done.package.manifest.tiling.height_px == 48
    assert done.package.manifest.output.stride == 48


def test_several_outputs_need_a_choice(tmp_path: Path) -> None:
    model = mobilenet()
    model.graph.output.append(helper.make_tensor_value_info("t0", TensorProto.FLOAT, [1, 16, "a", "b"]))
    asked = request(tmp_path, model)
    assert "--output" in refusal(asked).remedy
    assert import_network(replace(asked, output="logits"), lambda _: None).package.manifest.output.stride == 4


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    assert "is there already" in refusal(request(tmp_path, mobilenet())).what


def test_no_folder_and_no_file(tmp_path: Path) -> None:
    asked = request(tmp_path, mobilenet())
    assert "There is no folder" in refusal(replace(asked, calibration=tmp_path / "none")).what
    assert "cannot be read" in refusal(replace(asked, source=tmp_path / "none.onnx")).what


def _spoil(folder: Path, kind: str) -> None:
    write_fields(folder, 0 if kind == "none" else 10)
    files = sorted(folder.iterdir())
    if kind == "unreadable":
        for path in files[:3]:
            path.write_bytes(b"\x89PNG no picture")
    elif kind == "repeated":
        for path in files[1:]:
            path.write_bytes(files[0].read_bytes())
    elif kind == "few":
        for path in files[2:]:
            path.unlink()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("none", "holds no pictures"),
        ("few", "holds 2 different pictures"),
        ("unreadable", "unreadable: field000.png, field001.png, field002.png"),
        ("repeated", "the same as another: field001.png, .* and 6 more"),
    ],
)
def test_pictures_that_will_not_do(tmp_path: Path, kind: str, said: str) -> None:
    (tmp_path / "fields").mkdir()
    _spoil(tmp_path / "fields", kind)
    with pytest.raises(EngineError, match=said):
        raise refusal(request(tmp_path, mobilenet()))


def test_some_unreadable_pictures_are_left_out_and_named(tmp_path: Path) -> None:
    (write_fields(tmp_path / "fields", 16) / "torn.png").write_bytes(b"\x89PNG no picture")
    done = import_network(request(tmp_path, mobilenet()), lambda _: None)
    assert done.pictures.unreadable == ("torn.png",)
    assert "1 files of the folder could not be read" in (done.package.folder / MODEL_CARD).read_text(encoding="utf-8")


def test_a_network_that_sees_nothing_cannot_be_compared(tmp_path: Path) -> None:
    model = mobilenet()
    for constant in model.graph.initializer:
        if constant.name == "head":
            constant.CopyFrom(numpy_helper.from_array(np.zeros((1, 96, 1, 1), np.float32), "head"))
    assert "the same probability everywhere" in refusal(request(tmp_path, model)).what
