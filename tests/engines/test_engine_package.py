"""A package that is incomplete or altered is refused, and the refusal says what is wrong."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml

from engines.errors import BadPackage
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import MANIFEST, EnginePackage, load_package, shipped


def _edit(package: EnginePackage, **changes: object) -> None:
    path = package.folder / MANIFEST
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump({**content, **changes}), encoding="utf-8")


def _replace_network(package: EnginePackage, data: bytes) -> None:
    (package.folder / package.manifest.onnx.file).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    _edit(package, onnx={**package.manifest.onnx.model_dump(), "sha256": digest})


def test_a_whole_package_loads(package: EnginePackage) -> None:
    assert package.title == "redness 1.2.3"
    assert package.operating_point.threshold == 0.5
    assert load_package(package.folder) == package


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(BadPackage, match="no engine package at"):
        load_package(tmp_path / "absent")


@pytest.mark.parametrize("name", [MANIFEST, "model.qdq.onnx"])
def test_a_missing_file(package: EnginePackage, name: str) -> None:
    (package.folder / name).unlink()
    with pytest.raises(BadPackage, match=rf"{name} is missing") as caught:
        load_package(package.folder)
    assert caught.value.remedy


def test_an_altered_network(package: EnginePackage) -> None:
    path = package.folder / package.manifest.onnx.file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(BadPackage, match="not the file its manifest describes"):
        load_package(package.folder)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"colour": "blue"}, "colour"),
        ({"schema": 2}, "schema"),
        ({"intended_use": "diagnosis"}, "intended_use"),
        ({"labels": []}, "labels"),
        ({"report_threshold": 0.9}, "report_threshold"),
        ({"input": {"name": "image", "dtype": "float32", "layout": "NHWC"}}, "input.dtype"),
        ({"version": "new"}, "version"),
    ],
)
def test_a_wrong_manifest_names_the_key(package: EnginePackage, changes: dict[str, object], named: str) -> None:
    _edit(package, **changes)
    with pytest.raises(BadPackage, match="not a valid manifest") as caught:
        load_package(package.folder)
    assert named in caught.value.what


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"{ labels: [", b"- just\n- a list\n"])
def test_a_manifest_that_is_none(package: EnginePackage, content: bytes) -> None:
    (package.folder / MANIFEST).write_bytes(content)
    with pytest.raises(BadPackage):
        load_package(package.folder)


def test_a_network_outside_the_folder(package: EnginePackage) -> None:
    _edit(package, onnx={**package.manifest.onnx.model_dump(), "file": "../model.qdq.onnx"})
    with pytest.raises(BadPackage, match="outside its own folder"):
        load_package(package.folder)


@pytest.mark.parametrize("data", [b"", b"not a network at all", b"\x08\x08\x12\x04junk"])
def test_a_corrupt_network_with_a_matching_hash(package: EnginePackage, data: bytes) -> None:
    _replace_network(package, data)
    with pytest.raises(BadPackage, match=r"cannot be read|has inputs"):
        OnnxCpuScorer(load_package(package.folder))


def test_a_truncated_network_with_a_matching_hash(package: EnginePackage) -> None:
    _replace_network(package, package.onnx_bytes[:-100])
    with pytest.raises(BadPackage):
        OnnxCpuScorer(load_package(package.folder))


def test_shipped_names_what_there_is() -> None:
    assert load_package(shipped("afb")).manifest.assay == "afb"
    with pytest.raises(BadPackage, match="'urine'") as caught:
        shipped("urine")
    assert "afb" in caught.value.remedy
    assert "serous" in caught.value.remedy


def test_a_package_that_is_no_default_is_not_taken_for_an_assay() -> None:
    with pytest.raises(BadPackage, match="'label'") as caught:
        shipped("label")
    assert caught.value.remedy.endswith("use one of: afb, serous.")


def test_the_shipped_package_is_the_one_for_the_scale() -> None:
    assert shipped("afb", 0.1465).name == "afb-zn"
    assert shipped("serous", 0.293).name == "serous-cytology"
    with pytest.raises(BadPackage, match=r"afb.* at 2 µm/px") as caught:
        shipped("afb", 2.0)
    assert "0.12 to 0.18" in caught.value.remedy
