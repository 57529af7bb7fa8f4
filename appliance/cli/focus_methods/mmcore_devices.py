"""Our stage and camera as Python devices of pymmcore-plus (`pymmcore_plus.experimental.unicore`).

Each call returns when the device has settled, so none is ever busy.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import DTypeLike, NDArray
from pymmcore_plus.experimental.unicore import SimpleCameraDevice, StageDevice, XYStageDevice

from appliance.cli.focus_methods.method import Setup
from drivers.camera.frame import CameraSettings


class Held:
    """What the three devices share: the stage, the height it is held at, and the number of the last frame."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.x_um, self.y_um, self.z_um = setup.fields[0].x_um, setup.fields[0].y_um, setup.start_um
        self.frame_id = 0

    def move(self, x_um: float, y_um: float, z_um: float) -> None:
        """Go there; axes that are there already stay. Z is always named, as long ways would leave it low."""
        stage = self.setup.stage
        stage.wait(stage.move(x_um=x_um, y_um=y_um, z_um=z_um))
        self.x_um, self.y_um, self.z_um = x_um, y_um, z_um


class XY(XYStageDevice):  # type: ignore[misc]
    """X and Y."""

    def __init__(self, held: Held) -> None:
        super().__init__()
        self._held = held

    def set_position_um(self, x: float, y: float) -> None:
        """Go there."""
        self._held.move(x, y, self._held.z_um)

    def get_position_um(self) -> tuple[float, float]:
        """Where the last move went."""
        return self._held.x_um, self._held.y_um

    def home(self) -> None:
        """Homed already."""

    def stop(self) -> None:
        """Nothing moves between two calls."""

    def set_origin_x(self) -> None:
        """Coordinates are the controller's."""

    def set_origin_y(self) -> None:
        """Coordinates are the controller's."""


class Z(StageDevice):  # type: ignore[misc]
    """The focus axis."""

    def __init__(self, held: Held) -> None:
        super().__init__()
        self._held = held

    def set_position_um(self, val: float) -> None:
        """Go there, from below."""
        self._held.move(self._held.x_um, self._held.y_um, val)

    def get_position_um(self) -> float:
        """Where the last move went."""
        return self._held.z_um

    def home(self) -> None:
        """Homed already."""

    def stop(self) -> None:
        """Nothing moves between two calls."""

    def set_origin(self) -> None:
        """Coordinates are the controller's."""


class Pictures(SimpleCameraDevice):  # type: ignore[misc]
    """The camera: raw Bayer frames, as they come."""

    def __init__(self, held: Held) -> None:
        super().__init__()
        self._held = held
        self._exposure_ms = held.setup.exposure.exposure_ms

    def get_exposure(self) -> float:
        """In milliseconds."""
        return self._exposure_ms

    def set_exposure(self, exposure: float) -> None:
        """In milliseconds."""
        wanted = CameraSettings(exposure, self._held.setup.exposure.gain_db)
        self._exposure_ms = self._held.setup.camera.configure(wanted).exposure_ms

    def sensor_shape(self) -> tuple[int, int]:
        """Height and width."""
        info = self._held.setup.camera.info()
        return info.height_px, info.width_px

    def dtype(self) -> DTypeLike:
        """Eight bits."""
        return np.uint8

    def snap(self, buffer: NDArray[np.uint8]) -> Mapping[str, object]:
        """Fill the buffer with one frame."""
        frame = self._held.setup.expose()
        buffer[:] = frame.pixels
        self._held.frame_id = frame.frame_id
        return {}
