"""Learned waits on disk and in the settings of the stage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from appliance.errors import SettingsError
from appliance.scan.settle.decay import Settling
from appliance.scan.settle.waits import LearnedWaits, load_waits, save_waits, with_waits, without_wait
from drivers.stage.settings import standard_stage

X = Settling(85.0, 75.5, 10.2, 25.0, 0.2, bounded=False)
WAITS = LearnedWaits(0.293, X, replace(X, wait_ms=91.0))


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "waits.json"
    assert load_waits(path, 0.293) is None
    save_waits(path, WAITS)
    assert load_waits(path, 0.293) == WAITS
    assert [file.name for file in path.parent.iterdir()] == ["waits.json"]


def test_learned_waits_take_the_place_of_those_of_x_and_y_alone() -> None:
    stage = standard_stage("port")
    learned = with_waits(stage, WAITS)
    assert [learned.axis(name).settle_ms for name in ("x", "y", "z")] == [85.0, 91.0, stage.z.settle_ms]
    assert with_waits(without_wait(stage), WAITS) == learned
    bare = without_wait(stage)
    assert [bare.axis(name).settle_ms for name in ("x", "y", "z")] == [0.0, 0.0, stage.z.settle_ms]


@pytest.mark.parametrize(
    ("waits", "um_per_px", "said"),
    [
        (WAITS, 0.1465, "measured at 0.293 µm/px; in force are 0.1465"),
        (replace(WAITS, format=0), 0.293, "not of this version"),
        (replace(WAITS, y=replace(X, wait_ms=0.0)), 0.293, "say 0 ms for y, not 5 to 300"),
    ],
)
def test_waits_of_something_else_are_refused(tmp_path: Path, waits: LearnedWaits, um_per_px: float, said: str) -> None:
    save_waits(tmp_path / "waits.json", waits)
    with pytest.raises(SettingsError, match=said) as refused:
        load_waits(tmp_path / "waits.json", um_per_px)
    assert "calibrate settle" in refused.value.remedy


@pytest.mark.parametrize("text", ["", "{}", "[1, 2]", '{"um_per_px": "wide"}'])
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "waits.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match="cannot be read"):
        load_waits(path, 0.293)
