"""One more exposure of a field, higher up, where what was found in it seems to be part of a ball of cells.

A field is focused on its carpet of single cells. Balls of cells stand on the same glass and reach towards the
objective, which is a lower z. The recorder asks for such fields; the scan's thread takes them when it suits:
after their row, and what is asked for too late after the next. The height is a fixed way above the kept frame:
one picture of a ball so far out of focus does not tell how far, and a ball is deeper than what it is missed by.
"""

from __future__ import annotations

import queue
from dataclasses import dataclass

from numpy import uint8
from numpy.typing import NDArray

from appliance.assays.model import SecondPlaneRule
from appliance.records import FieldRecord
from appliance.scan.interpret import Interpretation
from appliance.scan.patches import patch_sizes_um
from appliance.scan.plan import PlannedField
from appliance.scan.rig import Meter, Rig
from appliance.settings import FocusSection
from drivers.camera.frame import Frame
from drivers.errors import FrameTimeout


@dataclass(frozen=True)
class Again:
    """A field to be exposed again, at z_um. frame, read, record: of its first plane."""

    planned: PlannedField
    z_um: float
    frame: Frame
    read: Interpretation
    record: FieldRecord


@dataclass(frozen=True)
class SecondCapture:
    """The second plane of a field as it left the microscope. frame: None when none came; reason: why."""

    again: Again
    frame: Frame | None
    reason: str
    meter: Meter


class SecondPlanes:
    """Which fields of one slide are exposed again: each once at most, and no more than the assay's share of the plan.

    One thread asks, another takes. most: how many there may be in all; taken: those of an earlier start.
    """

    def __init__(self, rule: SecondPlaneRule, focus: FocusSection, planned_fields: int, taken: int = 0) -> None:
        self.rule = rule
        self.most = round(rule.max_share * planned_fields)
        self._left = self.most - taken
        self._focus = focus
        self._due: queue.SimpleQueue[Again] = queue.SimpleQueue()

    def consider(
        self,
        rgb: NDArray[uint8],
        planned: PlannedField,
        frame: Frame,
        read: Interpretation,
        record: FieldRecord,
        um_per_px: float,
    ) -> None:
        """Ask for a field that has just been read, where a finding says so and its height is within the bounds."""
        z_um = record.focus.z_um - self.rule.above_um
        if self._left <= 0 or not self._focus.min_z_um <= z_um <= self._focus.max_z_um:
            return
        if stands_above(rgb, read, self.rule, um_per_px):
            self._left -= 1
            self._due.put(Again(planned, z_um, frame, read, record))

    def due(self) -> list[Again]:
        """What has been asked for since the last call."""
        due: list[Again] = []
        while not self._due.empty():
            due.append(self._due.get())
        return due


def stands_above(rgb: NDArray[uint8], read: Interpretation, rule: SecondPlaneRule, um_per_px: float) -> bool:
    """Whether a finding is suspicious, and lies on a patch of stain that is large enough for a ball of cells."""
    suspicious = [finding for finding in read.findings if finding.probability >= rule.from_probability]
    return bool(suspicious) and max(patch_sizes_um(rgb, suspicious, um_per_px)) >= rule.min_size_um


def expose_again(rig: Rig, again: Again) -> SecondCapture:
    """Go there and take the second plane. Raises whatever the rig raises but FrameTimeout: the first plane stands."""
    rig.go_to(again.planned.x_um, again.planned.y_um, again.z_um)
    try:
        frame = rig.expose_at(again.z_um)
    except FrameTimeout as error:
        return SecondCapture(again, None, error.what, rig.meter.take())
    return SecondCapture(again, frame, "", rig.meter.take())
