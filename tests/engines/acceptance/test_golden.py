"""Golden fields on disk: made whole, read back as they were made, and refused when anything is altered."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from engines.acceptance.errors import BadGolden
from engines.acceptance.golden import GOLDEN, Budget, Golden, Limits, load_golden
from engines.acceptance.make import Picture, make_golden
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import EnginePackage

from .pictures import STRONG, some_pictures, spots


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "golden"))


def test_they_are_read_back_as_they_were_made(golden: Golden, redness: EnginePackage, cpu: OnnxCpuScorer) -> None:
    assert golden.onnx_sha256 == redness.manifest.onnx.sha256
    for field, made in zip(golden.fields, some_pictures(), strict=True):
        assert (field.name, field.um_per_px) == (made.name, made.um_per_px)
        assert np.array_equal(field.picture, made.pixels)
        said = cpu.score(made.pixels, made.um_per_px)
        assert [one.label for one in field.expected] == [one.label for one in said]
        for key in ("x_px", "y_px", "probability"):
            assert [getattr(one, key) for one in field.expected] == pytest.approx(
                [getattr(one, key) for one in said], abs=1e-3
            )
    assert [len(field.expected) for field in golden.fields] == [3, 1, 1, 0]


def test_the_empty_picture_has_the_colour_between_the_objects(golden: Golden) -> None:
    assert golden.empty.picture.shape == golden.fields[0].picture.shape
    assert np.all(golden.empty.picture == 150)
    assert golden.empty.expected == ()


def test_objects_are_told_apart_as_the_network_does_it(golden: Golden) -> None:
    assert golden.limits.match_radius_px == 10.0, "2 µm at 0.2 µm/px"


def test_a_class_of_device_without_a_budget_of_its_own_has_the_default_one() -> None:
    named = {name: Budget(median=ms, p99=ms) for name, ms in (("cpu", 900), ("default", 50), ("orin-nano", 40))}
    limits = Limits(match_radius_px=8.0, latency_ms=named)
    assert [limits.budget(name).p99 for name in ("cpu", "orin-nano", "orin-nx")] == [900, 40, 50]
    with pytest.raises(ValueError, match="cpu"):
        Limits(match_radius_px=8.0, latency_ms={"default": named["default"]})


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = yaml.safe_load((folder / GOLDEN).read_text())
    change(content)
    (folder / GOLDEN).write_text(yaml.safe_dump(content))


WRONG: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another schema": (lambda told: told.update(schema=2), "schema"),
    "no schema": (lambda told: told.pop("schema"), "schema"),
    "an unknown key": (lambda told: told.update(note="x"), "note"),
    "a picture outside the folder": (lambda told: told["fields"][0].update(file="../two.png"), "fields.0.file"),
    "no limit": (lambda told: told["limits"].update(max_abs_score_delta=float("inf")), "max_abs_score_delta"),
    "no number": (lambda told: told["fields"][0]["expected"][0].update(probability=float("nan")), "probability"),
    "the same picture twice": (lambda told: told["fields"].append(told["fields"][0]), "the same name"),
    "one field": (lambda told: told.update(fields=told["fields"][:1]), "fields"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_description_that_is_not_valid_is_refused_and_the_place_named(copied: Path, what: str) -> None:
    change, place = WRONG[what]
    edit(copied, change)
    with pytest.raises(BadGolden, match=place) as refused:
        load_golden(copied)
    assert str(copied / GOLDEN) in refused.value.what
    assert "Fetch the package again" in refused.value.remedy


def test_an_altered_picture_is_named(copied: Path) -> None:
    path = copied / "one.png"
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadGolden, match=r"one\.png is not the picture"):
        load_golden(copied)


@pytest.mark.parametrize("name", ["two.png", "empty.png", GOLDEN])
def test_a_missing_file_is_named(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(BadGolden, match=rf"{name} is missing"):
        load_golden(copied)


def test_a_description_that_is_no_text_is_refused(copied: Path) -> None:
    for data in (b"\xff\xfe", b"a: [1"):
        (copied / GOLDEN).write_bytes(data)
        with pytest.raises(BadGolden, match="not readable as YAML"):
            load_golden(copied)


@pytest.mark.parametrize("kind", ["grey", "16 bits", "no picture"])
def test_a_picture_that_is_not_rgb_with_8_bits_is_refused(copied: Path, kind: str) -> None:
    content = {"grey": np.zeros((8, 8), np.uint8), "16 bits": np.zeros((8, 8, 3), np.uint16)}
    data = cv2.imencode(".png", content[kind])[1].tobytes() if kind in content else b"text"
    (copied / "two.png").write_bytes(data)
    edit(copied, lambda told: told["fields"][0].update(sha256=hashlib.sha256(data).hexdigest()))
    with pytest.raises(BadGolden, match=r"two\.png is not a picture in RGB"):
        load_golden(copied)


RED_ALL_OVER = np.full((96, 128, 3), STRONG, np.uint8)
UNFIT: dict[str, tuple[list[Picture], str]] = {
    "nothing to find": ([Picture("a", spots(), 0.2), Picture("b", spots(), 0.2)], "finds nothing"),
    "one picture": (some_pictures()[:1], "at least 2"),
    "the same twice": (
        [Picture("a", spots((30, 20, STRONG)), 0.2), Picture("b", spots((30, 20, STRONG)), 0.2)],
        "exactly the same of two",
    ),
    "two of one name": ([some_pictures()[0]._replace(name="one"), some_pictures()[1]], "the same name"),
    "a name that is a path": ([some_pictures()[0]._replace(name="../two"), some_pictures()[1]], "match pattern"),
    "findings on glass": ([Picture("a", RED_ALL_OVER, 0.2), Picture("b", spots(), 0.2)], "was emptied"),
}


@pytest.mark.parametrize("what", UNFIT)
def test_pictures_that_decide_nothing_make_no_golden_fields(
    redness: EnginePackage, cpu: OnnxCpuScorer, tmp_path: Path, what: str
) -> None:
    pictures, why = UNFIT[what]
    with pytest.raises(BadGolden, match=why):
        make_golden(redness, pictures, tmp_path / "golden", cpu.score)
    assert not (tmp_path / "golden").exists()


def test_golden_fields_are_never_overwritten(redness: EnginePackage, cpu: OnnxCpuScorer, copied: Path) -> None:
    before = load_golden(copied).sha256
    with pytest.raises(BadGolden, match="already"):
        make_golden(redness, some_pictures()[:2], copied, cpu.score)
    assert load_golden(copied).sha256 == before


def test_a_making_that_was_cut_off_leaves_none_and_is_made_again(
    redness: EnginePackage, cpu: OnnxCpuScorer, copied: Path
) -> None:
    before = load_golden(copied).sha256
    (copied / GOLDEN).unlink()  # it is written last
    (copied / "one.png").write_bytes(b"half")
    with pytest.raises(BadGolden, match="missing"):
        load_golden(copied)
    assert make_golden(redness, some_pictures(), copied, cpu.score).sha256 == before
