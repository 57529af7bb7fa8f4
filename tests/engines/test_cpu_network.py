"""Which form runs, what it says of itself, and how the choice is measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from engines.cpu_network import CpuNetwork, Variant, default_variant, open_session
from engines.errors import BadPackage
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import EnginePackage, load_package, shipped
from engines.training import seeds
from engines.training.subjects import SUBJECTS
from engines.training.twin_tiles import TileMaker

from .qdq_nets import chain

SHIPPED = pytest.mark.parametrize("assay", ["afb", "serous"])


def _field(height: int = 302, width: int = 484) -> NDArray[np.uint8]:
    """A pale field with dark and red spots, a soft gradient, and noise."""
    rng = np.random.default_rng(4)
    rows, cols = np.mgrid[:height, :width].astype(np.float32)
    picture = np.full((height, width, 3), (205, 200, 210), np.float32) - (rows / height * 20)[..., None]
    for _ in range(40):
        y, x, size = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(2, 16)
        spot = np.exp(-((rows - y) ** 2 + (cols - x) ** 2) / (2 * size**2))
        picture -= spot[..., None] * rng.uniform(0, 140, 3)
    return np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("machine", ["x86_64", "AMD64", "aarch64", "arm64"])
def test_the_rewritten_form_is_the_default_where_its_kernels_are(machine: str) -> None:
    assert default_variant(machine) is Variant.REWRITTEN


def test_an_unknown_architecture_runs_the_file_as_it_is() -> None:
    assert default_variant("riscv64") is Variant.AS_IS


def test_int8_allowed_as_on_arm_still_leaves_the_shipped_file_in_float(tmp_path: Path) -> None:
    """Why Arm gets the rewritten form: the switch that ONNX Runtime sets there changes nothing for this file."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    options.optimized_model_filepath = str(tmp_path / "arm.onnx")
    options.log_severity_level = 3
    data = load_package(shipped("afb")).onnx_bytes
    onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "arm.onnx").graph.node]
    assert "QLinearConv" not in kinds
    assert "FusedConv" in kinds


_RATES = {"serous": 0.1, "afb": 6000.0}


@SHIPPED
def test_shipped_packages_answer_as_their_files_do(assay: str) -> None:
    """Probabilities within one in a hundred of their range, but for a few cells in a thousand; the same detections.

    Of labels that are only counted, five cells in a thousand may lie up to three in a hundred off.
    """
    package = load_package(shipped(assay))
    as_is = OnnxCpuScorer(package, variant=Variant.AS_IS)
    derived = OnnxCpuScorer(package, variant=Variant.REWRITTEN)
    subject = SUBJECTS[package.manifest.name]
    maker = TileMaker(subject.microscope, subject.label_of, (640, 640))
    seed = seeds.TEST[-300]
    slide, rng = subject.draw_slide(seed, _RATES[assay]), np.random.default_rng(seed)
    picture, scale = maker.render(slide, maker.random_place(slide, rng), 0.0, rng).picture, subject.microscope.um_per_px
    expected = as_is.probabilities(picture)
    difference = np.abs(derived.probabilities(picture) - expected)
    reach = float(np.ptp(expected))
    assert reach > 0.05
    for label, plane in zip(subject.labels, difference, strict=True):
        assert np.quantile(plane, 0.999 if label.target else 0.995) <= 0.01 * reach
    assert difference.max() <= 0.03 * reach
    both = [scorer.score(picture, scale) for scorer in (as_is, derived)]
    sure = package.operating_point.threshold + 0.03
    assert sum(d.probability >= sure for d in both[0]) >= 1
    targets = {label.name for label in subject.labels if label.target}
    for here, there in (both, both[::-1]):
        for d in here:
            if d.label in targets and d.probability >= sure:
                assert any(d.label == o.label and np.hypot(d.x_px - o.x_px, d.y_px - o.y_px) < 4 for o in there), d
    # Among crowded cells a shoulder is a peak of its own in one of the two: counts may differ by one, and one in fifty.
    counts = [sum(d.label not in targets and d.probability >= sure for d in found) for found in both]
    assert abs(counts[0] - counts[1]) <= 1 + 0.02 * max(counts), counts


@SHIPPED
def test_no_convolution_of_a_shipped_package_runs_in_float(assay: str, tmp_path: Path) -> None:
    package = load_package(shipped(assay))
    network = CpuNetwork(package.onnx_bytes, Variant.REWRITTEN, 1)
    path = tmp_path / "optimised.onnx"
    open_session(network.derive(widths_of_four=True), 1, optimised=path)
    kinds = [node.op_type for node in onnx.load(path).graph.node]
    convolutions = sum(n.op_type == "Conv" for n in onnx.load_from_string(package.onnx_bytes).graph.node)
    assert kinds.count("QLinearConv") + kinds.count("MatMulIntegerToFloat") == convolutions
    assert not {"Conv", "FusedConv", "Cast", "QuantizeLinear"} & set(kinds)


@pytest.mark.parametrize("width", [96, 97, 98, 99])
def test_widths_of_all_kinds_answer_alike(package: EnginePackage, width: int) -> None:
    picture = _field(64, width)
    expected = OnnxCpuScorer(package, variant=Variant.AS_IS).probabilities(picture)
    answer = OnnxCpuScorer(package, variant=Variant.REWRITTEN).probabilities(picture)
    assert answer.shape == expected.shape
    assert np.abs(answer - expected).max() <= 0.02


def test_the_backend_tells_the_form_and_its_hash(package: EnginePackage) -> None:
    derived = OnnxCpuScorer(package, variant=Variant.REWRITTEN).backend
    again = OnnxCpuScorer(package, variant=Variant.REWRITTEN).backend
    as_is = OnnxCpuScorer(package, variant=Variant.AS_IS).backend
    assert derived == again
    assert (derived.variant, as_is.variant) == ("rewritten", "as is")
    assert len(derived.derived_sha256) == 64
    assert as_is.derived_sha256 == ""
    assert derived.onnx_sha256 == as_is.onnx_sha256 == package.manifest.onnx.sha256
    assert derived.runtime.endswith(f"CPU, rewritten {derived.derived_sha256[:12]}")
    assert as_is.runtime.endswith("CPU, as is")


def test_bytes_that_are_no_network_are_refused(package: EnginePackage) -> None:
    for data in (b"no network", b""):
        with pytest.raises(BadPackage, match=r"cannot be read|inputs"):
            OnnxCpuScorer(replace(package, onnx_bytes=data), variant=Variant.REWRITTEN)


def test_quantisation_without_steps_is_refused(package: EnginePackage) -> None:
    model = chain()
    del model.graph.initializer[:]
    with pytest.raises(BadPackage, match="no constant step"):
        OnnxCpuScorer(replace(package, onnx_bytes=model.SerializeToString()), variant=Variant.REWRITTEN)
