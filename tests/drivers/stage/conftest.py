"""A twin's stage on a real pseudo-terminal, quick enough for tests, and a Stage on top of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drivers.stage import Stage, StageSettings, open_stage, standard_stage
from drivers.twin.mechanics import MechanicsSettings, XYMechanics, ZMechanics
from drivers.twin.stage_twin import StageTwin

QUICK = MechanicsSettings(
    x=XYMechanics(max_um=80_000, start_um=2_000, speed_mm_s=120, acceleration_mm_s2=5_000),
    y=XYMechanics(max_um=30_000, start_um=1_000, speed_mm_s=120, acceleration_mm_s2=5_000),
    z=ZMechanics(start_um=800, speed_mm_s=10, acceleration_mm_s2=200),
)


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[StageTwin]:
    """A fast stage that answers on a port."""
    with StageTwin(tmp_path, QUICK) as stage_twin:
        yield stage_twin


@pytest.fixture
def settings(twin: StageTwin) -> StageSettings:
    """Settings that fit the twin, with short settling and a short patience."""
    plain = standard_stage(twin.path, reply_timeout_s=0.15)
    axes = {name: {**plain.axis(name).model_dump(), "settle_ms": 5} for name in ("x", "y", "z")}
    return StageSettings.model_validate({**plain.model_dump(), **axes})


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
