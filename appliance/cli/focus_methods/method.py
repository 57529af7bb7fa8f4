"""What a way to focus gets, and what it gives: the interface between `bench focus` and the methods it compares."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from appliance.scan.focus.optics import FocusOptics
from appliance.scan.plan import PlannedField
from drivers.camera.frame import Camera, CameraSettings, Frame
from drivers.stage import Move, Mover

REACH_DOF = 2.5
"""How far every sweep of the others goes to either side of the height it starts from: one rule for all."""
STEP_DOF = 0.5
"""Between two planes of a stack of the others, where what they ship leaves it to the user."""
_PATIENCE_S = 5.0


class BenchStage(Mover, Protocol):
    """A stage that can also move Z slowly and evenly, for methods that expose on the way."""

    def creep(self, z_um: float, speed_um_s: float) -> Move:
        """Start such a motion, straight to a height."""


@dataclass(frozen=True)
class Setup:
    """A microscope of the method's own over the slide, and the fields it will be sent to.

    start_um: height as commanded at which the first field with specimen is sharp at the beginning, as if a person had
    focused it. A method may ignore it and look for itself. clock: steady seconds of that microscope.
    """

    stage: BenchStage
    camera: Camera
    exposure: CameraSettings
    fields: tuple[PlannedField, ...]
    start_um: float
    optics: FocusOptics
    clock: Callable[[], float] = time.monotonic

    def go_to(self, field: PlannedField) -> None:
        """Move X and Y to a field and wait until settled."""
        self.stage.wait(self.stage.move(x_um=field.x_um, y_um=field.y_um))

    def expose_at(self, z_um: float) -> Frame:
        """A frame at this height, approached from below, as the stage always does."""
        self.stage.wait(self.stage.move(z_um=z_um))
        return self.expose()

    def expose(self) -> Frame:
        """A frame where the stage is now, at rest or not."""
        self.camera.trigger()
        return self.camera.grab(_PATIENCE_S)


@dataclass(frozen=True)
class Kept:
    """A field as the method leaves it: the frame it keeps, None when none, and whether it calls it in focus.

    exposures: taken for it, where they were not all taken during this visit. expected_over_um: by how much the height
    expected before lay over the kept frame's; None where the method expects none.
    """

    frame_id: int | None
    in_focus: bool
    exposures: int | None = None
    expected_over_um: float | None = None


class Visitor(Protocol):
    """A method at work on one slide; making it is its survey, if it has one."""

    def visit(self, field: PlannedField) -> Kept:
        """Go to the next field of the plan, focus, and keep a frame. Raises whatever the device raises."""


Method = Callable[[Setup], Visitor]
