"""One exposure of the twin: where the camera looked while it lasted, and the picture that came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.twin.field_builder import BuiltField
from drivers.twin.imaging import Pose, absorbed
from drivers.twin.mechanics import Mechanics
from drivers.twin.sensor import Sensor
from drivers.twin.settings import TwinSettings

_SAMPLES = 5


@dataclass(frozen=True)
class Picture:
    """pixels: uint8 Bayer RGGB. x_um, y_um, z_um: mean true position during the exposure. field: what lies there."""

    pixels: NDArray[np.uint8]
    x_um: float
    y_um: float
    z_um: float
    field: BuiltField


class Shutter:
    """What turns light into pictures: axes that move, fields that are built, a sensor and its noise. One thread.

    field: the built field that covers a frame at a true stage position.
    """

    def __init__(
        self, settings: TwinSettings, mechanics: Mechanics, sensor: Sensor, field: Callable[[float, float], BuiltField]
    ) -> None:
        self._settings = settings
        self._mechanics = mechanics
        self._sensor = sensor
        self._field = field

    def open(
        self, start_s: float, lamp_s: float, exposure_ms: float, gain_db: float, rng: np.random.Generator
    ) -> Picture:
        """The exposure from `start_s` on, in the clock of the mechanics; the lamp had been on for `lamp_s`.

        To be asked for when it is over: a move commanded meanwhile is part of it.
        """
        settings, camera = self._settings, self._settings.camera
        times = start_s + np.linspace(0, exposure_ms / 1e3, _SAMPLES)
        path = np.array([self._mechanics.true_position(float(t)) for t in times])
        x, y, z = (float(value) for value in path.mean(axis=0))
        field = self._field(x, y)
        pose = Pose(path[:, 0], path[:, 1], path[:, 2] - settings.reference_z_um - field.surface_um)
        planes = absorbed(field.prepared, pose, camera.width_px, camera.height_px)
        lamp = self._sensor.lamp(lamp_s, rng, on=not settings.faults.lamp_off)
        return Picture(self._sensor.read(planes, exposure_ms, gain_db, lamp, rng), x, y, z, field)
