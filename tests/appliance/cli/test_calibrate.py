"""`cytoscan calibrate focus`: a device is measured once, and every scan from then on judges single pictures.

The hundreds of exposures of a calibration are taken in simulated time. Over the serial port go a survey that finds
nothing, and the scan that uses what was measured.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.cli import calibrate_focus
from appliance.cli.app import run
from appliance.cli.exits import Exit
from appliance.journal import JournalReader
from tests.appliance.cli.conftest import Ran
from tests.appliance.cli.virtual_twin import in_simulated_time

CROWDED = (
    "--twin-set", "camera.width_px=640",
    "--twin-set", "camera.height_px=448",
    "--twin-set", "slide.serous.nucleated_per_field={low: 900, high: 1000}",
)  # fmt: skip
"""Cells all over, so that an eighth of the sensor shows enough of them in nearly every place."""
BRIEF = ("--set", "focus.search_um=20", "--set", "focus.survey_points=3")
"""A short survey, which settles only three of the fields itself."""
MEASURE = ("calibrate", "focus", "--twin", "--seed", "31", "--fields", "12", *CROWDED, "--json", "result.json")


@pytest.fixture
def measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """The command in this process and in simulated time, in the folder in which `cytoscan` runs."""

    def measured(*more: str) -> Ran:
        monkeypatch.chdir(tmp_path)
        in_simulated_time(monkeypatch, calibrate_focus)
        code = run([*MEASURE, *more])
        said = capsys.readouterr()
        return Ran(code, said.out, said.err, json.loads(Path("result.json").read_text()))

    return measured


def test_a_calibrated_device_judges_single_pictures(
    measure: Callable[..., Ran], cytoscan: Callable[..., Ran], tmp_path: Path
) -> None:
    measured = measure()
    assert measured.code == 0, measured.out + measured.err
    assert measured.result["trusted"] is True
    assert measured.result["fields"] >= 8
    kept = list(tmp_path.rglob("focus-curve-twin-serous-450x-na0.50.npz"))
    assert len(kept) == 1
    scanned = cytoscan("scan", "--twin", "--seed", "32", "--fields", "6", *BRIEF, *CROWDED)
    assert scanned.code == 0, scanned.out + scanned.err
    (journal,) = tmp_path.rglob("journal.sqlite")
    with JournalReader.open(journal) as reader:
        (reading,) = reader.runs()
        focused = [field.focus for field in reader.fields(reading.run_id)]
    # Fields that the survey has settled, and all fields of a device without a curve, are bracketed.
    assert any(focus.reason in {"judged", "template"} for focus in focused), focused


def test_a_device_that_cannot_tell_says_so_and_keeps_nothing(measure: Callable[..., Ran], tmp_path: Path) -> None:
    plain = ("--twin-set", "optics.axial_red_um=0", "--twin-set", "optics.axial_blue_um=0")
    measured = measure(*plain)
    assert measured.code == Exit.CHECKS_FAILED, measured.out + measured.err
    assert "bracket every field" in measured.out
    assert measured.result["trusted"] is False
    assert not list(tmp_path.rglob("*.npz"))


def test_a_slide_without_specimen_does_not_serve(cytoscan: Callable[..., Ran]) -> None:
    measured = cytoscan(*MEASURE, *BRIEF, "--twin-set", "slide.content=empty")
    assert measured.code == Exit.FAULT
    assert "does not serve to calibrate with" in measured.err
    assert "Load a well stained slide" in measured.err
