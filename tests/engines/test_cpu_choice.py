"""The fastest runtime that agrees is chosen, recorded, and used as long as machine and runtimes are the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from engines import cpu_choice, openvino_cpu
from engines.cpu_choice import Choice, Contender, available, choose, keep_choice, open_chosen
from engines.errors import BadPackage, EngineError
from engines.openvino_cpu import OpenVinoScorer
from engines.package import EnginePackage, load_package, shipped
from engines.qdq_float import to_float

from .qdq_nets import chain, depthwise, run

needs_openvino = pytest.mark.skipif(not openvino_cpu.installed(), reason="OpenVINO is not installed (extra: openvino)")


def _picture(height: int = 64, width: int = 96) -> NDArray[np.uint8]:
    picture = np.full((height, width, 3), 150, np.uint8)
    picture[28:33, 38:43] = (220, 40, 90)
    return picture


@pytest.fixture
def without_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_cpu, "installed", lambda: False)


def _clock(seconds: list[float]) -> Callable[[], float]:
    """A clock on which each measured run takes the next of `seconds`."""

    def readings() -> Iterator[float]:
        now = 0.0
        for duration in seconds:
            yield now
            now += duration
            yield now

    following = readings()
    return lambda: next(following)


@pytest.mark.usefixtures("without_openvino")
@pytest.mark.parametrize(
    ("rewritten", "as_is", "chosen"),
    [(3.0, 1.0, Contender.AS_IS), (1.0, 3.0, Contender.REWRITTEN), (1.0, 0.99, Contender.REWRITTEN)],
)
def test_the_faster_form_is_chosen(package: EnginePackage, rewritten: float, as_is: float, chosen: Contender) -> None:
    assert available()[0] is Contender.REWRITTEN
    choice = choose(package, _picture(), rounds=3, clock=_clock([rewritten, as_is] * 3))
    assert choice.contender is chosen
    assert choice.seconds == pytest.approx({"onnxruntime, rewritten": rewritten, "onnxruntime, as is": as_is})
    assert choice.difference["onnxruntime, as is"] <= 0.01


@pytest.mark.usefixtures("without_openvino")
def test_one_slow_run_does_not_decide(package: EnginePackage) -> None:
    choice = choose(package, _picture(), rounds=3, clock=_clock([1.0, 2.0, 9.0, 2.0, 1.0, 2.0]))
    assert choice.contender is Contender.REWRITTEN


@pytest.mark.usefixtures("without_openvino")
def test_a_faster_runtime_that_answers_otherwise_is_not_chosen(
    package: EnginePackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = cpu_choice.open_as

    def wrong(contender: Contender, loaded: EnginePackage, threads: int = 1) -> object:
        scorer = opened(contender, loaded, threads)
        if contender is Contender.AS_IS:
            right = scorer.probabilities
            monkeypatch.setattr(scorer, "probabilities", lambda picture: np.clip(right(picture) + 0.05, 0, 1))
        return scorer

    monkeypatch.setattr(cpu_choice, "open_as", wrong)
    choice = choose(package, _picture(), rounds=3, clock=_clock([3.0, 1.0] * 3))
    assert choice.contender is Contender.REWRITTEN
    assert choice.difference["onnxruntime, as is"] > 0.01


def _choice(package: EnginePackage, contender: Contender) -> Choice:
    return replace(choose(package, _picture(), rounds=1), contender=contender)


def test_a_recorded_choice_is_used(package: EnginePackage, tmp_path: Path) -> None:
    record = tmp_path / "state" / "engine-runtime.json"
    assert open_chosen(package, record).backend.variant == "rewritten"
    keep_choice(record, _choice(package, Contender.AS_IS))
    assert open_chosen(package, record).backend.variant == "as is"
    assert json.loads(record.read_text())[package.manifest.onnx.sha256]["rounds"] == 1


@pytest.mark.parametrize("changed", [{"machine": "another"}, {"runtimes": "another"}, {"onnx_sha256": "0" * 64}])
def test_a_choice_made_elsewhere_is_not_used(package: EnginePackage, tmp_path: Path, changed: dict[str, str]) -> None:
    record = tmp_path / "engine-runtime.json"
    keep_choice(record, replace(_choice(package, Contender.AS_IS), **changed))
    assert open_chosen(package, record).backend.variant == "rewritten"


def test_records_of_several_packages_stand_side_by_side(package: EnginePackage, tmp_path: Path) -> None:
    record = tmp_path / "engine-runtime.json"
    keep_choice(record, _choice(package, Contender.AS_IS))
    keep_choice(record, replace(_choice(package, Contender.REWRITTEN), onnx_sha256="0" * 64))
    assert set(json.loads(record.read_text())) == {package.manifest.onnx.sha256, "0" * 64}
    assert open_chosen(package, record).backend.variant == "as is"


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', "\xff"])
def test_a_record_that_cannot_be_read_is_told(package: EnginePackage, tmp_path: Path, text: str) -> None:
    record = tmp_path / "engine-runtime.json"
    record.write_bytes(text.encode("latin-1"))
    with pytest.raises(EngineError, match=r"engine-runtime\.json") as caught:
        open_chosen(package, record)
    assert "Delete it" in caught.value.remedy


@pytest.mark.usefixtures("without_openvino")
def test_openvino_that_is_not_there_says_how_to_get_it(package: EnginePackage) -> None:
    with pytest.raises(EngineError, match="not installed") as caught:
        OpenVinoScorer(package)
    assert "[openvino]" in caught.value.remedy


@needs_openvino
@pytest.mark.parametrize("assay", ["afb", "serous"])
def test_openvino_answers_as_the_default_does(assay: str) -> None:
    package = load_package(shipped(assay))
    rng = np.random.default_rng(3)
    picture = np.clip(rng.normal(200, 4, (240, 320, 3)), 0, 255).astype(np.uint8)
    for _ in range(12):
        y, x, size = int(rng.integers(20, 220)), int(rng.integers(20, 300)), int(rng.integers(2, 16))
        picture[y - size : y + size, x - size : x + size] = rng.integers(40, 200, 3)
    expected = cpu_choice.open_as(available()[0], package).probabilities(picture)
    scorer = OpenVinoScorer(package)
    answer = scorer.probabilities(picture)
    assert answer.shape == expected.shape
    assert np.quantile(np.abs(answer - expected), 0.99) <= 0.02 * np.ptp(expected)
    assert scorer.probabilities(picture[:61, :97]).shape[0] == expected.shape[0], "another size is compiled anew"
    assert scorer.backend.kind == "openvino_cpu"
    assert scorer.backend.runtime.startswith("openvino 20")
    scorer.close()
    with pytest.raises(EngineError, match="closed"):
        scorer.probabilities(picture)


@needs_openvino
def test_openvino_refuses_what_is_no_network(package: EnginePackage) -> None:
    with pytest.raises(BadPackage, match="OpenVINO"):
        OpenVinoScorer(replace(package, onnx_bytes=b"no network"))


@pytest.mark.parametrize("make", [chain, depthwise])
def test_the_float_network_is_the_file_without_rounding_of_activations(make: Callable[[], onnx.ModelProto]) -> None:
    model = make()
    wide = to_float(model)
    kinds = {node.op_type for node in wide.graph.node}
    assert not {"QuantizeLinear", "DequantizeLinear"} & kinds
    assert sum(n.op_type == "Conv" for n in wide.graph.node) == sum(n.op_type == "Conv" for n in model.graph.node)
    picture = np.random.default_rng(0).integers(90, 170, (32, 32, 3)).astype(np.uint8)
    ideal, rounded = run(wide, picture).ravel(), run(model, picture).ravel()
    assert not np.array_equal(ideal, rounded)
    assert np.corrcoef(ideal, rounded)[0, 1] >= 0.95
