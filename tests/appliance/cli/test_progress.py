"""What the bar says of a reading that ended early."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from appliance.cli.plain_console import plain_console
from appliance.cli.progress import progress_bar
from appliance.records import FieldRecord, FocusResult, Outcome
from appliance.scan.events import FieldDone, SecondPlaneDone
from appliance.scan.rig import Meter


def test_a_reading_that_ended_early_is_finished_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "140")
    console = plain_console()
    console.file = io.StringIO()
    with progress_bar(console, ("afb",)) as bar:
        bar.planned(189, 0)
        bar.ended_early(57)
    last = console.file.getvalue().rsplit("ended early", 1)[1]
    assert "57/57" in last
    assert "100%" in last


def test_a_log_says_how_many_fields_were_enough() -> None:
    console = plain_console()
    console.file = io.StringIO()
    with progress_bar(console, ("afb",)) as bar:
        bar.planned(189, 0)
        bar.ended_early(57)
    assert "ended early: 57 of 189 fields are enough" in console.file.getvalue()


def test_what_a_second_plane_adds_is_counted_once() -> None:
    console = plain_console()
    console.file = io.StringIO()
    focus = FocusResult(3000.0, 0.2, 0.9, "judged", 1)
    first = FieldRecord(0, 0, 0, Outcome.USABLE, "", focus, None, {"malignant": 2}, {}, datetime.now(timezone.utc))
    with progress_bar(console, ("malignant",)) as bar:
        bar.planned(2, 0)
        bar.field_done(FieldDone(first, (), 1, Meter()))
        bar.second_plane_done(SecondPlaneDone(first, replace(first, counts={"malignant": 5}), (), 2, Meter()))
        bar.field_done(FieldDone(replace(first, index=1, counts={}), (), 3, Meter()))
    assert "2/2 fields" in console.file.getvalue()
    assert "5 findings" in console.file.getvalue()
