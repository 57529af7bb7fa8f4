"""Stage and camera over one twin slide on a clock that moves only by what they take, and the truth of every exposure.

A slide can be focused as fast as it can be drawn, by any method, and what that would have taken on the instrument is
still known. Faults of the line and of the camera are left out; the lamp's is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from drivers.camera.frame import CameraSettings
from drivers.stage.settings import StageSettings, standard_stage
from drivers.twin.exposing import Shutter
from drivers.twin.field_builder import BuiltField, build_field
from drivers.twin.mechanics import Mechanics
from drivers.twin.sensor import Sensor
from drivers.twin.settings import TwinSettings
from drivers.twin.slide import SceneObject, Slide, make_slide
from drivers.twin.truth import best_focus_um, is_blank, objects_inside
from drivers.twin.virtual.camera import VirtualCamera
from drivers.twin.virtual.clock import VirtualClock
from drivers.twin.virtual.stage import VirtualStage


@dataclass(frozen=True)
class Truth:
    """Of one exposure: where the focal plane really was, and where the specimen in the frame is sharpest, in true µm.

    blank: whether there is none; at_edge: whether that depends on what lies at the edge of the frame. x_um, y_um: true
    place of the frame's centre. surface_um: height from which z_um of objects counts. objects: those centred in it.
    """

    z_um: float
    best_um: float
    blank: bool
    x_um: float = 0.0
    y_um: float = 0.0
    surface_um: float = 0.0
    objects: tuple[SceneObject, ...] = ()
    at_edge: bool = False

    @property
    def off_um(self) -> float:
        """Signed distance of the exposure from best focus."""
        return self.z_um - self.best_um


class FieldShelf:
    """The slide, and the fields of it that were built last, for all microscopes that look at it in turn."""

    def __init__(self, settings: TwinSettings, *, kept: int = 2) -> None:
        """kept: fields held at a time; one of a full frame takes some hundred megabytes."""
        self.settings = settings
        self.slide: Slide = make_slide(settings.slide, settings.seed)
        self._kept = kept
        self._fields: list[BuiltField] = []

    def field(self, x_um: float, y_um: float) -> BuiltField:
        """The field that covers a frame there, built when none on the shelf does."""
        camera = self.settings.camera
        for index, field in enumerate(self._fields):
            if field.prepared.covers(x_um, y_um, camera.width_px, camera.height_px):
                self._fields.append(self._fields.pop(index))
                return field
        del self._fields[: len(self._fields) - self._kept + 1]
        self._fields.append(build_field(self.slide, self.settings, (x_um, y_um)))
        return self._fields[-1]


class VirtualMicroscope:
    """`stage` and `camera` for the code under test; `truths`, by frame number, for tests and benches alone.

    shelf: the slide on the stage. Each microscope has a stage, a camera and a clock of its own, which start alike.
    stage: the driver's settings; those of the reference instrument unless given. counts_host: see `VirtualClock`.
    """

    def __init__(self, shelf: FieldShelf, stage: StageSettings | None = None, *, counts_host: bool = False) -> None:
        cv2.setNumThreads(1)
        settings = shelf.settings
        self.truths: dict[int, Truth] = {}
        self.clock = VirtualClock(counts_host=counts_host)
        self._settings = settings
        self._rng = np.random.default_rng([settings.seed, 0xA5])
        mechanics = Mechanics(settings.mechanics, self.clock)
        sensor = Sensor(settings.camera, settings.seed, shelf.slide.illumination)
        self._shutter = Shutter(settings, mechanics, sensor, shelf.field)
        self.stage = VirtualStage(stage or standard_stage("virtual"), mechanics, self.clock)
        self.camera = VirtualCamera(settings.camera, f"TWIN-{settings.seed}", self.clock, self._draw)

    def _draw(self, number: int, start_s: float, under: CameraSettings) -> NDArray[np.uint8]:
        picture = self._shutter.open(start_s, start_s, under.exposure_ms, under.gain_db, self._rng)
        camera = self._settings.camera
        self.truths[number] = Truth(
            z_um=picture.z_um,
            best_um=best_focus_um(picture.field, self._settings),
            blank=is_blank(picture.field, camera),
            x_um=picture.x_um,
            y_um=picture.y_um,
            surface_um=self._settings.reference_z_um + picture.field.surface_um,
            objects=tuple(objects_inside(picture.field, camera, picture.x_um, picture.y_um)),
            at_edge=picture.field.at_edge,
        )
        return picture.pixels
