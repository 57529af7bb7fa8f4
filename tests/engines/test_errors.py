"""Errors stay whole on their way between processes: copying asks the same of them as pickling does."""

from __future__ import annotations

import copy

import pytest

from engines.errors import BadInput, BadPackage, EngineError


@pytest.mark.parametrize("kind", [EngineError, BadPackage, BadInput])
def test_an_error_crosses_processes_whole(kind: type[EngineError]) -> None:
    error = kind("The manifest lacks a key.", remedy="Fetch the package again.")
    again = copy.copy(error)
    assert type(again) is kind
    assert (again.what, again.remedy, str(again)) == (error.what, error.remedy, str(error))
