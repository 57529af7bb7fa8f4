"""`--twin` without process, port and waiting: the same slide, axes and sensor, in simulated time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

import pytest

from appliance.cli import twin_session
from appliance.cli.twin_session import TwinSlide
from appliance.settings import Settings
from drivers.stage import StageSettings
from drivers.twin.launch import Box, Calibration
from drivers.twin.virtual import FieldShelf, VirtualCamera, VirtualMicroscope, VirtualStage


@dataclass(frozen=True)
class _Launched:
    """What a twin's process says of itself when it is ready."""

    shelf: FieldShelf
    port: str = "virtual"
    camera: str = "virtual"

    @property
    def calibration(self) -> Calibration:
        optics = self.shelf.settings.optics
        return Calibration(optics.scale_um, optics.aperture, optics.magnification)

    @property
    def specimen(self) -> Box:
        area = self.shelf.slide.specimen
        return Box(area.x_um, area.y_um, area.width_um, area.height_um)

    @property
    def reference_z_um(self) -> float:
        return self.shelf.settings.reference_z_um


def in_simulated_time(monkeypatch: pytest.MonkeyPatch, command: ModuleType) -> None:
    """Let a module's command open the virtual microscope where it would start the twin and open its devices."""
    shelves: list[FieldShelf] = []
    scopes: list[VirtualMicroscope] = []

    @contextmanager
    def session(slide: TwinSlide, settings: Settings) -> Iterator[Settings]:
        shelf = FieldShelf(slide.settings())
        shelves.append(shelf)
        yield twin_session._completed(settings, slide, _Launched(shelf))  # type: ignore[arg-type]

    @contextmanager
    def hardware(
        settings: Settings, stage: StageSettings | None = None
    ) -> Iterator[tuple[VirtualStage, VirtualCamera]]:
        assert settings.stage.port == "virtual"
        scopes.append(VirtualMicroscope(shelves[-1], stage))
        yield scopes[-1].stage, scopes[-1].camera

    def sleep(seconds: float) -> None:
        clock = scopes[-1].clock
        clock.wait_until(clock.now_s + seconds)

    monkeypatch.setattr(command, "sleep", sleep, raising=False)
    monkeypatch.setattr(command, "twin_session", session)
    monkeypatch.setattr(command, "hardware", hardware)
    monkeypatch.setattr(VirtualStage, "home", lambda stage: None, raising=False)
