"""The scan's rig over one twin slide in simulated time, and the truth of its exposures."""

from __future__ import annotations

from appliance.cli.twin_plan import plan_over
from appliance.scan.rig import Rig
from drivers.camera.frame import CameraSettings
from drivers.stage import Position
from drivers.twin.settings import TwinSettings
from drivers.twin.virtual import FieldShelf, VirtualMicroscope


class Microscope(Rig):
    """`truths` has one entry per frame number."""

    def __init__(self, settings: TwinSettings) -> None:
        self.shelf = FieldShelf(settings)
        self._scope = scope = VirtualMicroscope(self.shelf)
        self.settings = settings
        self.truths = scope.truths
        self.camera = scope.camera
        super().__init__(scope.stage, scope.camera, CameraSettings(5.0), clock=scope.clock)

    def position(self) -> Position:
        """Where the controller counts the axes to be."""
        return self._scope.stage.position()

    def places(self, fields: int) -> list[tuple[float, float]]:
        """Fields over the specimen."""
        return [(field.x_um, field.y_um) for field in plan_over(self.shelf, fields)]
