"""Fields with boxes: what is found, missed and invented, and a CSV that says where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.errors import EngineError
from engines.evaluate.boxes import read_boxes
from engines.evaluate.fields import evaluate_fields, find_fields
from tests.engines.evaluate.painted import RED, paint, save

TWO = "file,x,y,width,height\ns1_a.png,34,34,12,12\ns1_a.png,154,34,12,12\ns2_a.png,94,94,12,12\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """s1_a: two objects, one of them invisible; s2_a: one; s2_b: a false spot; s3_a: nothing."""
    save(tmp_path / "s1_a.png", paint(200, [(40, 40, 250)]))
    save(tmp_path / "s2_a.png", paint(200, [(100, 100, 240)]))
    save(tmp_path / "s2_b.png", paint(200, [(60, 140, 180)]))
    save(tmp_path / "s3_a.png", paint(200, []))
    (tmp_path / "boxes.csv").write_text(TWO)
    return tmp_path


def _figures(folder: Path, um_per_px: float = 0.2) -> dict[str, object]:
    csv = folder / "boxes.csv"
    files, missing = find_fields(folder, read_boxes(csv, RED.names, RED.others), csv)
    return evaluate_fields(RED, files, missing, um_per_px)


def test_objects_and_fields(folder: Path) -> None:
    figures = _figures(folder)
    assert (figures["n"], figures["positives"], figures["groups"], figures["objects"]) == (4, 2, 3, 3)
    assert figures["auroc"] == 1.0
    assert figures["auroc_ci"] == [1.0, 1.0]
    assert figures["sensitivity"] == pytest.approx(2 / 3, abs=1e-4)
    assert figures["false_per_field"] == pytest.approx(1 / 4)
    assert figures["ap"] == pytest.approx((1 + 1 + 3 / 4) / 3, abs=1e-4)
    assert figures["unreadable"] == []


def test_boxes_elsewhere_find_nothing(folder: Path) -> None:
    (folder / "boxes.csv").write_text("file,x,y,width,height\ns1_a.png,150,150,12,12\n")
    figures = _figures(folder)
    assert figures["sensitivity"] == 0.0
    assert figures["false_per_field"] == pytest.approx(3 / 4)


def test_pictures_of_another_scale(folder: Path) -> None:
    for name in ("s1_a", "s2_a", "s2_b", "s3_a"):
        (folder / f"{name}.png").unlink()
    save(folder / "s1_a.png", paint(200, [(40, 40, 250)]).repeat(2, axis=0).repeat(2, axis=1))
    save(folder / "s3_a.png", paint(400, []))
    (folder / "boxes.csv").write_text("file,x,y,width,height\ns1_a.png,68,68,24,24\n")
    figures = _figures(folder, 0.1)
    assert (figures["sensitivity"], figures["false_per_field"], figures["auroc"]) == (1.0, 0.0, 1.0)


def test_missing_and_broken_pictures_are_listed(folder: Path) -> None:
    (folder / "boxes.csv").write_text(TWO + "gone.png,1,1,5,5\n")
    (folder / "s4.png").write_bytes(b"broken")
    figures = _figures(folder)
    assert figures["unreadable"] == ["gone.png", "s4.png"]
    assert (figures["unreadable_n"], figures["n"]) == (2, 4)


def test_a_subfolder_is_a_group(folder: Path) -> None:
    for number in range(3):
        save(folder / "slide" / f"f{number}.png", paint(100, []))
    assert _figures(folder)["groups"] == 4


def test_fields_that_all_have_objects_give_null(folder: Path) -> None:
    for name in ("s2_b", "s3_a"):
        (folder / f"{name}.png").unlink()
    figures = _figures(folder)
    assert figures["auroc"] is None
    assert figures["auroc_ci"] is None
    assert "all fields are with the target" in str(figures["reason"])
    assert figures["ap"] is not None


def test_labels_choose_the_targets(folder: Path) -> None:
    csv = folder / "boxes.csv"
    csv.write_text(
        "\ufefffile, x, y, width, height, label\na.png,1,2,3,4,red\n\nsub\\b.png,1,2,3,4,\na.png,1,2,3,4,benign\n"
    )
    boxes = read_boxes(csv, RED.names, RED.others)
    assert [(box.file, box.line) for box in boxes] == [("a.png", 2), ("sub/b.png", 4)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: the header is missing"),
        ("file,x0,y0,x1,y1\n", "line 1: the header is file,x0,y0,x1,y1"),
        ("file,x,y,width,height\na.png,1,2,3,4\na.png,1,2,3\n", "line 3: 4 values, the header has 5"),
        ("file,x,y,width,height\n\na.png,1,two,3,4\n", "line 3: y is 'two', not a number"),
        ("file,x,y,width,height\na.png,1,2,0,4\n", "line 2: width is 0; it must be above zero"),
        ("file,x,y,width,height\na.png,nan,2,3,4\n", "line 2: x is nan; it must be finite"),
        ("file,x,y,width,height\n,1,2,3,4\n", "line 2: no file is named"),
        ("file,x,y,width,height,label\na.png,1,2,3,4,blue\n", "line 2: the engine has no label 'blue'"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "boxes.csv").write_text(text)
    with pytest.raises(EngineError, match=f"boxes.csv, {said}") as caught:
        read_boxes(tmp_path / "boxes.csv", RED.names, RED.others)
    assert caught.value.remedy


def test_a_box_outside_its_picture_is_an_error(folder: Path) -> None:
    (folder / "boxes.csv").write_text("file,x,y,width,height\ns1_a.png,400,34,12,12\n")
    with pytest.raises(EngineError, match=r"line 2: the box's centre lies outside s1_a\.png, which is 200 x 200 px"):
        _figures(folder)
