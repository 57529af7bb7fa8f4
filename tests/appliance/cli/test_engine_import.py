"""`cytoscan engine import` as a person runs it, from a file and a folder of pictures to a package a scan can open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from appliance.cli.exits import Exit
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import MANIFEST, MODEL_CARD, load_package
from tests.appliance.cli.conftest import Ran
from tests.engines.public_nets import fields, mobilenet, resnet, write_fields

PLAIN = ("--calibration", "fields", "--assay", "serous", "--out", "package")
CLASSIFIER = ("engine", "import", "model.onnx", *PLAIN, "--labels=-,malignant", "--head", "softmax")


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """The command's folder, with a classifier and sixteen fields."""
    (tmp_path / "model.onnx").write_bytes(resnet().SerializeToString())
    write_fields(tmp_path / "fields", 16)
    return tmp_path


def test_a_classifier_becomes_a_package(cytoscan: Callable[..., Ran], given: Path) -> None:
    ran = cytoscan(*CLASSIFIER, "--preset", "imagenet", "--json", "result.json")
    assert ran.code == 0, ran.err
    assert "unmeasured" in ran.out
    assert "Assumed: The network was trained at about 0.293" in ran.out
    package = load_package(given / "package")
    assert ran.result["onnx_sha256"] == package.manifest.onnx.sha256
    assert package.manifest.parity is not None
    assert ran.result["parity"] == package.manifest.parity.model_dump()
    assert package.operating_point.name == "unmeasured"
    assert "Assumed" not in (given / "package" / MODEL_CARD).read_text(encoding="utf-8")
    assert "0.293 µm/px" in (given / "package" / MODEL_CARD).read_text(encoding="utf-8")
    assert OnnxCpuScorer(package).probabilities(fields(1)[0]).shape == (1, 3, 3)
    again = cytoscan(*CLASSIFIER)
    assert again.code == Exit.ENGINE
    assert "is there already" in again.err


def test_a_heat_map_with_its_own_scale_and_measured_point(cytoscan: Callable[..., Ran], given: Path) -> None:
    (given / "map.onnx").write_bytes(mobilenet(2).SerializeToString())
    point = {
        "name": "site", "threshold": 0.6, "sensitivity": 0.8, "false_per_mm2": 0.1, "false_per_cell": 1e-4,
        "cutoffs": {"t1": 0.3, "t2": 0.6, "t3": 0.9}, "source": "20 slides",
    }  # fmt: skip
    (given / "point.yaml").write_text(yaml.safe_dump(point))
    ran = cytoscan(
        "engine", "import", "map.onnx", *PLAIN, "--head", "sigmoid", "--labels", "benign,malignant", "--um-per-px",
        "0.5", "--box-um", "20", "--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225", "--operating-point",
        "point.yaml",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "unmeasured" not in ran.out
    manifest = load_package(given / "package").manifest
    assert [(label.name, label.target, label.box_um) for label in manifest.labels] == [
        ("benign", False, (20.0, 20.0)),
        ("malignant", True, (20.0, 20.0)),
    ]
    assert manifest.scale.max_um_per_px == pytest.approx(0.55)
    assert manifest.operating_point.model_dump() == point
    content = yaml.safe_load((given / "package" / MANIFEST).read_text(encoding="utf-8"))
    assert content["training_data"][0]["licence"] == "not known"


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--assay", "seros"), Exit.SETTINGS, "Did you mean serous?"),
        (("--labels", "-,nobody"), Exit.SETTINGS, "'nobody' is not counted"),
        (("--labels", "-,benign"), Exit.SETTINGS, "no target"),
        (("--preset", "bgr"), Exit.SETTINGS, "no preset 'bgr'"),
        (("--mean", "0.5,0.5,0.5"), Exit.SETTINGS, "go together"),
        (("--mean", "0.5", "--std", "1,1,1"), Exit.SETTINGS, "not three numbers"),
        (("--mean", "0,0,0", "--std", "1,0,1"), Exit.SETTINGS, "above zero"),
        (("--package-version", "new"), Exit.SETTINGS, "not a version"),
        (("--operating-point", "nothing.yaml"), Exit.SETTINGS, "cannot be read"),
        (("--calibration", "nowhere"), Exit.ENGINE, "no folder nowhere"),
        (("--tile", "300"), Exit.ENGINE, "fixed to pictures of 64 x 64"),
        (("--head", "none"), Exit.ENGINE, "no probabilities"),
    ],
)
def test_what_is_wrong_is_said(
    cytoscan: Callable[..., Ran], given: Path, options: tuple[str, str], code: Exit, said: str
) -> None:
    ran = cytoscan(*CLASSIFIER, *options)
    assert ran.code == code, ran.err
    assert said in " ".join(ran.err.split())
    assert "Traceback" not in ran.err
    assert not (given / "package").exists()
