"""A slide as large as one likes, of a few fields drawn once: for what costs too much on fields that are all drawn.

Each field is drawn at a ladder of heights, a little larger than the frame. Every place of the slide then shows one of
them, cut out at an offset of its own, at the rung that is nearest to the true height over the slide's surface there. So
heights, drift and repeatability are the twin's; content and noise come round again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from drivers.camera.frame import CameraSettings
from drivers.stage.settings import standard_stage
from drivers.twin.field_builder import Place, build_field
from drivers.twin.imaging import Pose, absorbed
from drivers.twin.mechanics import Mechanics
from drivers.twin.sensor import Sensor
from drivers.twin.settings import TwinSettings
from drivers.twin.slide import make_slide
from drivers.twin.virtual.camera import VirtualCamera
from drivers.twin.virtual.clock import VirtualClock
from drivers.twin.virtual.stage import VirtualStage

_ROOM_PX = 128
"""By which what is drawn is larger than the frame, each way."""
_GRID_UM = 10.0
"""Two places further apart than this show different cuts."""

Pictures = NDArray[np.uint8]


@dataclass(frozen=True)
class FieldLadder:
    """pictures: uint8 Bayer RGGB (fields, rungs, height, width). rung_um: (rungs,), ascending, µm over best focus."""

    settings: TwinSettings
    pictures: Pictures
    rung_um: NDArray[np.float64]

    def at(self, place: Place, over_um: float) -> Pictures:
        """The frame at a place, so far over best focus: a copy, uint8 Bayer RGGB (height, width)."""
        rng = np.random.default_rng([round(one / _GRID_UM) for one in place])
        row, col = (2 * int(rng.integers(_ROOM_PX // 2)) for _ in range(2))
        field, rung = int(rng.integers(len(self.pictures))), int(np.abs(self.rung_um - over_um).argmin())
        height, width = self.settings.camera.height_px, self.settings.camera.width_px
        return np.array(self.pictures[field, rung, row : row + height, col : col + width])


def draw_ladder(settings: TwinSettings, places: Sequence[Place], rung_um: Sequence[float]) -> FieldLadder:
    """The fields at some places of the twin's slide. What the camera itself shows, but for noise, is left out."""
    plain: dict[str, object] = {"vignetting": 0.0, "sensor_dust": 0, "hot_pixels": 0}
    sides = {side: getattr(settings.camera, side) + _ROOM_PX for side in ("width_px", "height_px")}
    camera = settings.camera.model_copy(update={**plain, **sides})
    larger = settings.model_copy(update={"camera": camera})
    slide = make_slide(settings.slide, settings.seed)
    sensor = Sensor(camera, settings.seed, slide.illumination)
    rng = np.random.default_rng([settings.seed, 0x1ADD])
    pictures: Pictures = np.empty((len(places), len(rung_um), camera.height_px, camera.width_px), np.uint8)
    for number, place in enumerate(places):
        field = build_field(slide, larger, place)
        for rung, over_um in enumerate(rung_um):
            pose = Pose.still(*field.prepared.centre_um, over_um + field.truth.defocus_um)
            planes = absorbed(field.prepared, pose, camera.width_px, camera.height_px)
            pictures[number, rung] = sensor.read(planes, camera.nominal_exposure_ms, 0.0, 1.0, rng)
    return FieldLadder(settings, pictures, np.array(rung_um))


class RepeatedMicroscope:
    """`stage` and `camera` in simulated time over such a slide. Exposure and gain change nothing but time.

    clock: of that time; one of its own unless given.
    """

    def __init__(self, ladder: FieldLadder, clock: VirtualClock | None = None) -> None:
        cv2.setNumThreads(1)
        settings = ladder.settings
        self._ladder = ladder
        self._slide = make_slide(settings.slide, settings.seed)
        self.clock = VirtualClock() if clock is None else clock
        self._mechanics = Mechanics(settings.mechanics, self.clock)
        self.stage = VirtualStage(standard_stage("virtual"), self._mechanics, self.clock)
        self.camera = VirtualCamera(settings.camera, f"TWIN-{settings.seed}", self.clock, self._picture)

    def _picture(self, number: int, start_s: float, under: CameraSettings) -> Pictures:  # noqa: ARG002 - the interface
        x_um, y_um, z_um = self._mechanics.true_position(start_s + under.exposure_ms / 2e3)
        over_um = z_um - self._ladder.settings.reference_z_um - self._slide.surface_um(x_um, y_um)
        asked_x_um, asked_y_um = (self._mechanics.commanded_um(name, start_s) for name in ("x", "y"))
        return self._ladder.at((asked_x_um, asked_y_um), over_um)
