"""What the bar says of a reading that ended early."""

from __future__ import annotations

import io

import pytest

from appliance.cli.plain_console import plain_console
from appliance.cli.progress import progress_bar


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
