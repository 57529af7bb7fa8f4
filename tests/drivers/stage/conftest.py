"""A twin's stage on a real pseudo-terminal, and a Stage on top of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drivers.stage import Stage, StageSettings, open_stage
from drivers.twin.stage_twin import StageTwin
from tests.drivers.stage.quick_stage import QUICK, quick_settings


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[StageTwin]:
    """A fast stage that answers on a port."""
    with StageTwin(tmp_path, QUICK) as stage_twin:
        yield stage_twin


@pytest.fixture
def settings(twin: StageTwin) -> StageSettings:
    """Settings that fit the twin."""
    return quick_settings(twin.path)


@pytest.fixture
def opened(settings: StageSettings) -> Iterator[Callable[..., Stage]]:
    """Open a stage with changed settings; closed after the test."""
    stages: list[Stage] = []

    def make(**changes: object) -> Stage:
        stages.append(open_stage(StageSettings.model_validate({**settings.model_dump(), **changes})))
        return stages[-1]

    yield make
    for each in stages:
        each.close()


@pytest.fixture
def homed(opened: Callable[..., Stage]) -> Stage:
    """An open and homed stage."""
    stage = opened()
    stage.home()
    return stage
