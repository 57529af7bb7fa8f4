"""What a scan tells those who watch it."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.records import FieldRecord, Finding
from appliance.scan.rig import Meter
from drivers.camera.frame import Camera


@dataclass(frozen=True)
class FieldDone:
    """A recorded field. frame_id: of the kept frame, None without one. meter: what the field cost."""

    record: FieldRecord
    findings: tuple[Finding, ...]
    frame_id: int | None
    meter: Meter


@dataclass(frozen=True)
class SecondPlaneDone:
    """A field that has been read in a second plane. first: its record until then. findings: of the second plane.

    frame_id: of its frame, None without one. meter: what the second plane cost.
    """

    first: FieldRecord
    record: FieldRecord
    findings: tuple[Finding, ...]
    frame_id: int | None
    meter: Meter


class ScanListener:
    """Does nothing; whoever wants to watch overrides what matters. Calls come from whichever thread acts."""

    def opened(self, camera: Camera) -> None:
        """The camera has been opened."""

    def step(self, text: str) -> None:
        """A step that takes a while begins: homing, surveying."""

    def planned(self, total: int, already: int) -> None:
        """So many fields are planned, of which some are recorded already."""

    def surveyed(self, meter: Meter) -> None:
        """The survey is over; what it cost."""

    def field_done(self, done: FieldDone) -> None:
        """A field has been recorded."""

    def second_plane_done(self, done: SecondPlaneDone) -> None:
        """What a recorded field's second plane showed has been added to it."""

    def ended_early(self, visited: int) -> None:
        """So many fields are recorded, and the rest of the plan is not needed."""
