"""Errors stay whole on their way between processes: copying asks the same of them as pickling does."""

from __future__ import annotations

import copy

import pytest

from appliance.errors import ApplianceError, JournalError, SettingsError


@pytest.mark.parametrize("kind", [ApplianceError, JournalError])
def test_an_error_crosses_processes_whole(kind: type[ApplianceError]) -> None:
    error = kind("The disk is full.", remedy="Free some space.", safe="The slide is kept.")
    again = copy.copy(error)
    assert type(again) is kind
    assert vars(again) == vars(error)
    assert str(again) == str(error)


def test_settings_errors_keep_their_problems() -> None:
    error = SettingsError("site.yaml has two mistakes.", problems=("line 1: a", "line 2: b"))
    assert copy.copy(error).problems == ("line 1: a", "line 2: b")
