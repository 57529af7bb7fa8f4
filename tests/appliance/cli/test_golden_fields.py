"""Golden fields that the twin draws: an engine that does what its network does is accepted on them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from appliance.cli.golden_fields import FIELDS, drawn_golden
from engines.acceptance.golden import load_golden
from engines.acceptance.run import accept
from engines.errors import EngineError
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import MANIFEST, EnginePackage, load_package, shipped_as
from engines.tensorrt.signature import FrameSize


@pytest.mark.parametrize(
    ("name", "frame"), [("serous-cytology", FrameSize(192, 256)), ("afb-zn-450", FrameSize(384, 512))]
)
def test_a_shipped_package_is_accepted_on_the_fields_drawn_for_it(name: str, frame: FrameSize, tmp_path: Path) -> None:
    package = load_package(shipped_as(name))
    golden = drawn_golden(package, frame, tmp_path / "golden")
    assert load_golden(tmp_path / "golden").sha256 == golden.sha256
    shapes = {field.picture.shape for field in (golden.empty, *golden.fields)}
    assert shapes == {(frame.height_px, frame.width_px, 3)}
    assert len(golden.fields) == FIELDS
    scorer = OnnxCpuScorer(package)
    report = accept(scorer, package, golden, clock=time.monotonic, reference=None, device_class="cpu")
    scorer.close()
    assert report.passed, report.failures


@pytest.mark.parametrize(
    "changes",
    [
        {"scale": {"native_um_per_px": 0.2, "min_um_per_px": 0.19, "max_um_per_px": 0.21}},
        {"assay": "histology"},
    ],
    ids=["another scale", "another assay"],
)
def test_a_package_for_which_the_twin_draws_no_slide_is_refused_and_said_how_to_go_on(
    changes: dict[str, object], tmp_path: Path
) -> None:
    package = _changed(load_package(shipped_as("serous-cytology")), tmp_path / "package", changes)
    with pytest.raises(EngineError, match="The twin draws no slide for serous-cytology") as caught:
        drawn_golden(package, FrameSize(192, 256), tmp_path / "golden")
    assert caught.value.remedy == "Have its release made with golden fields."
    assert not (tmp_path / "golden").exists()


def _changed(package: EnginePackage, folder: Path, changes: dict[str, object]) -> EnginePackage:
    folder.mkdir()
    (folder / package.manifest.onnx.file).write_bytes(package.onnx_bytes)
    manifest = yaml.safe_load((package.folder / MANIFEST).read_text(encoding="utf-8"))
    (folder / MANIFEST).write_text(yaml.safe_dump({**manifest, **changes}), encoding="utf-8")
    return load_package(folder)
