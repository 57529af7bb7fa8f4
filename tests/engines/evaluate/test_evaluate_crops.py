"""Crops: two folders told apart, groups by number, scores inside the crop, bad pictures counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.errors import EngineError
from engines.evaluate.crops import crop_score, evaluate_crops, find_crops
from engines.evaluate.pictures import group_of
from tests.engines.evaluate.painted import RED, paint, save


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three sources; of the six crops with a spot one is as pale as the reddest of the six without."""
    for number in range(6):
        save(tmp_path / "red" / f"S{number // 2:03d}_{number}.png", paint(40, [(20, 20, 250 - 20 * number)]))
        save(tmp_path / "non_red" / f"S{number // 2:03d}_{number}.png", paint(40, [(20, 20, 150 - 20 * number)]))
    return tmp_path


def test_figures_on_painted_crops(folder: Path) -> None:
    figures = evaluate_crops(RED, find_crops(folder), 0.2)
    assert (figures["n"], figures["positives"], figures["groups"]) == (12, 6, 3)
    assert figures["auroc"] == pytest.approx(35.5 / 36, abs=1e-4)
    low, high = figures["auroc_ci"]  # type: ignore[misc]
    assert low < 35.5 / 36 <= high == 1.0
    assert figures["sensitivity"] == 1.0
    assert figures["specificity"] == pytest.approx(4 / 6, abs=1e-4)
    assert figures["reason"] is None


def test_swapped_folders_turn_the_figure_round(folder: Path) -> None:
    (folder / "red").rename(folder / "kept")
    (folder / "non_red").rename(folder / "red")
    (folder / "kept").rename(folder / "negative")
    assert evaluate_crops(RED, find_crops(folder), 0.2)["auroc"] == pytest.approx(0.5 / 36, abs=1e-4)


def test_what_is_no_picture_is_listed_and_counted(folder: Path) -> None:
    (folder / "red" / "S000_9.png").write_bytes(b"not a picture")
    (folder / "non_red" / "notes.txt").write_text("hello")
    (folder / "non_red" / ".hidden").write_text("of the file manager")
    (folder / "LICENSE").write_text("beside the crops")
    figures = evaluate_crops(RED, find_crops(folder), 0.2)
    assert figures["unreadable"] == ["red/S000_9.png", "non_red/notes.txt"]
    assert (figures["unreadable_n"], figures["n"]) == (2, 12)


def test_only_unreadable_files_are_an_error(tmp_path: Path) -> None:
    for sub in ("red", "non_red"):
        (tmp_path / sub).mkdir()
        (tmp_path / sub / "1.png").write_bytes(b"")
    with pytest.raises(EngineError, match="None of 2 files is a picture that can be read"):
        evaluate_crops(RED, find_crops(tmp_path), 0.2)


def test_one_kind_alone_gives_null_and_why(folder: Path) -> None:
    figures = evaluate_crops(RED, [file for file in find_crops(folder) if file.positive], 0.2)
    assert figures["auroc"] is None
    assert figures["auroc_ci"] is None
    assert "all crops are with the target" in str(figures["reason"])
    assert figures["specificity"] is None


def test_the_scale_is_brought_to_the_engines(folder: Path) -> None:
    assert evaluate_crops(RED, find_crops(folder), 0.1)["auroc"] == pytest.approx(35.5 / 36, abs=1e-4)
    shrunk_to_nothing = 0.2 / 40
    with pytest.raises(EngineError, match="None of 12 files"):
        evaluate_crops(RED, find_crops(folder), shrunk_to_nothing)


def test_a_target_off_the_centre_counts_unless_only_the_centre_is_asked_for() -> None:
    aside = paint(80, [(70, 10, 250)])
    assert crop_score(RED, aside, centred=False) > 0.8
    assert crop_score(RED, aside, centred=True) < 0.1
    assert crop_score(RED, paint(80, [(40, 40, 250)]), centred=True) > 0.8


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), r"0 subfolders \(none\)"),
        (("afb",), r"1 subfolders \(afb\)"),
        (("afb", "non_afb", "more"), "3 subfolders"),
        (("afb", "other"), "neither name says"),
        (("negative", "non_afb"), "both names say"),
        (("afb", "non_afb"), "are empty"),
    ],
)
def test_folders_that_are_not_two_told_apart(tmp_path: Path, names: tuple[str, ...], said: str) -> None:
    for name in names:
        (tmp_path / name).mkdir()
    with pytest.raises(EngineError, match=said) as caught:
        find_crops(tmp_path)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("name", "group"),
    [("afb/TB_Image_0012_03.jpg", "12"), ("non/nonTB_Image_0012_1.jpeg", "12"), ("a/x.png", "a/x.png")],
)
def test_groups_by_the_first_number_of_the_name(name: str, group: str) -> None:
    assert group_of(name) == group
