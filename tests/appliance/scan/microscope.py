"""A microscope without wires: the twin's slide, axes, optics and sensor on a clock that only moves when asked.

The same truth as the twin's processes, without serial line, sockets and waiting, so that a slide can be focused as fast
as it can be rendered. `python -m tests.appliance.scan.focus_bench --help` measures focus on whole slides.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import cv2
import numpy as np

from appliance.scan.plan import Plan, Region, Shape, make_plan
from drivers.camera.frame import CameraSettings, Frame, FrameStatus, PixelFormat
from drivers.twin.field_builder import BuiltField, build_field
from drivers.twin.imaging import Pose, absorbed
from drivers.twin.mechanics import Axis, Mechanics
from drivers.twin.sensor import Sensor, level_at, noise_law
from drivers.twin.settings import TwinSettings
from drivers.twin.slide import Slide, make_slide
from drivers.twin.truth import is_blank, objects_inside

EXPOSURE = CameraSettings(exposure_ms=5.0)
_APPROACH_UM = 3.0
_SETTLE_S = {"xy": 0.08, "z": 0.02}
_FRAME_S = 0.030


@dataclass(frozen=True)
class Truth:
    """Of one exposure: where the focal plane really was, where its specimen is sharpest, whether there is any.

    detail: gradient energy of the specimen's sharpest picture over that of noise. kinds: objects inside, by kind.
    """

    z_um: float
    best_um: float
    blank: bool
    detail: float
    kinds: dict[str, int]

    @property
    def off_um(self) -> float:
        return self.z_um - self.best_um


class Microscope:
    """The scan's stage and camera over one twin slide; `truths` has one entry per frame id."""

    def __init__(self, settings: TwinSettings, slide: Slide | None = None) -> None:
        cv2.setNumThreads(1)
        self.settings = settings
        self.slide = slide or make_slide(settings.slide, settings.seed)
        self.truths: dict[int, Truth] = {}
        self._now = 0.0
        self._mechanics = Mechanics(settings.mechanics, lambda: self._now)
        self._sensor = Sensor(settings.camera, settings.seed, self.slide.illumination)
        self._rng = np.random.default_rng([settings.seed, 0xA5])
        self._field: BuiltField | None = None

    def plan(self, fields: int | None = None) -> Plan:
        """Fields over the specimen."""
        area, camera, scale = self.slide.specimen, self.settings.camera, self.settings.optics.scale_um
        centre = (area.x_um + area.width_um / 2, area.y_um + area.height_um / 2)
        round_ = self.slide.content == "serous"
        region = Region(*centre, area.width_um, area.height_um, Shape.ELLIPSE if round_ else Shape.RECTANGLE)
        return make_plan(
            self.slide.content, region, camera.width_px * scale, camera.height_px * scale, fields=fields, overlap=0.0
        )

    def now_s(self) -> float:
        return self._now

    def go_to(self, x_um: float, y_um: float, z_um: float | None = None) -> None:
        if z_um is not None:
            self._rise_to(z_um)
        self._drive("x", x_um)
        self._drive("y", y_um)
        self._now += _SETTLE_S["xy"]
        self._field = None

    def expose_at(self, z_um: float) -> Frame:
        self._rise_to(z_um)
        times = self._now + np.linspace(0.0, EXPOSURE.exposure_ms / 1e3, 5)
        path = np.array([self._mechanics.true_position(float(t)) for t in times])
        x, y, z = (float(v) for v in path.mean(axis=0))
        camera = self.settings.camera
        if self._field is None:
            self._field = build_field(self.slide, self.settings, (x, y))
        field = self._field
        pose = Pose(path[:, 0], path[:, 1], path[:, 2] - self.settings.reference_z_um - field.surface_um)
        planes = absorbed(field.prepared, pose, camera.width_px, camera.height_px)
        lamp = self._sensor.lamp(self._now, self._rng, on=not self.settings.faults.lamp_off)
        pixels = self._sensor.read(planes, EXPOSURE.exposure_ms, 0.0, lamp, self._rng)
        best = self.settings.reference_z_um + field.surface_um + field.truth.defocus_um
        number = len(self.truths) + 1
        kinds = Counter(item.kind for item in objects_inside(field, camera, x, y))
        level = level_at(camera, camera.nominal_exposure_ms, 0.0)
        slope, floor = noise_law(camera, 0.0)
        detail = field.truth.over_noise(level, slope * level + floor)
        self.truths[number] = Truth(z, best, is_blank(field, camera), detail, dict(kinds))
        trigger_ns = round(self._now * 1e9)
        self._now += _FRAME_S
        return Frame(
            number, pixels, PixelFormat.BAYER_RG8, trigger_ns, round(self._now * 1e9), EXPOSURE, FrameStatus.OK
        )

    def _rise_to(self, z_um: float) -> None:
        at = self._mechanics.targets()[2]
        if abs(z_um - at) < 1e-6:
            return
        if z_um < at:
            self._drive("z", z_um - _APPROACH_UM)
        self._drive("z", z_um)
        self._now += _SETTLE_S["z"]

    def _drive(self, axis: Axis, target_um: float) -> None:
        self._now = max(self._now, self._mechanics.command_move(axis, target_um))
