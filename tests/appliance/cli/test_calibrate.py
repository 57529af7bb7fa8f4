"""`cytoscan calibrate focus`: a device is measured once, and every scan from then on judges single pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from appliance.cli.exits import Exit
from appliance.journal import JournalReader
from tests.appliance.cli.conftest import SMALL, Ran

CROWDED = (*SMALL, "--twin-set", "slide.serous.nucleated_per_field={low: 600, high: 700}")
"""Cells all over, so that a quarter of the sensor shows enough of them in nearly every place."""
MEASURE = ("calibrate", "focus", "--twin", "--seed", "31", "--fields", "12", *CROWDED, "--json", "result.json")


def test_a_calibrated_device_judges_single_pictures(cytoscan: Callable[..., Ran], tmp_path: Path) -> None:
    measured = cytoscan(*MEASURE)
    assert measured.code == 0, measured.out + measured.err
    assert measured.result["trusted"] is True
    assert measured.result["fields"] >= 8
    kept = list(tmp_path.rglob("focus-curve-twin-serous-450x-na0.50.npz"))
    assert len(kept) == 1
    scanned = cytoscan("scan", "--twin", "--seed", "32", "--fields", "4", *CROWDED)
    assert scanned.code == 0, scanned.out + scanned.err
    (journal,) = tmp_path.rglob("journal.sqlite")
    with JournalReader.open(journal) as reader:
        (run,) = reader.runs()
        focused = [field.focus for field in reader.fields(run.run_id)]
    assert any(focus.reason == "judged" for focus in focused)


def test_a_device_that_cannot_tell_says_so_and_keeps_nothing(cytoscan: Callable[..., Ran], tmp_path: Path) -> None:
    plain = ("--twin-set", "optics.axial_red_um=0", "--twin-set", "optics.axial_blue_um=0")
    measured = cytoscan(*MEASURE, *plain)
    assert measured.code == Exit.CHECKS_FAILED, measured.out + measured.err
    assert "bracket every field" in measured.out
    assert measured.result["trusted"] is False
    assert not list(tmp_path.rglob("*.npz"))


def test_a_slide_without_specimen_does_not_serve(cytoscan: Callable[..., Ran]) -> None:
    measured = cytoscan(*MEASURE, "--twin-set", "slide.content=empty")
    assert measured.code == Exit.FAULT
    assert "does not serve to calibrate with" in measured.err
    assert "Load a well stained slide" in measured.err
