"""What a stage says about itself and its moves."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from drivers.errors import AxisFault, DeviceError, LinkLost
from drivers.stage.motion import Leg
from drivers.stage.settings import AxisName


class Trust(str, Enum):
    """What is known about an axis. Only a HOMED axis may be asked to move."""

    UNKNOWN = "unknown"
    HOMING = "homing"
    HOMED = "homed"
    MOVING = "moving"
    FAULT = "fault"


class MoveStopped(AxisFault):
    """A move was ended on request before its target; the axes still know where they are."""


class StageBusy(DeviceError):
    """A new move was asked for while the last one had not been waited for."""


class NoAnswer(LinkLost):
    """The port is there, but no trustworthy answer came in time."""


@dataclass(frozen=True)
class Position:
    """Where the controller counts the axes to be, in µm."""

    x_um: float
    y_um: float
    z_um: float


@dataclass(frozen=True)
class ControllerInfo:
    """One device of the controller chain, as it describes itself."""

    device: int
    device_id: int
    serial: str
    version: str
    axis_count: int


@dataclass(frozen=True)
class Move:
    """A move that was started: give it to `Stage.wait`.

    targets_um: where the axes will stand in the end; Z may be among them although only XY was asked for, when a long
    way made Z go down first. motion_s: the least time the hardware needs, from its speeds and accelerations, including
    the way that approaches Z from below. settle_s: what the axes need after that until an exposure is sharp.
    """

    number: int
    targets_um: dict[AxisName, float]
    legs: tuple[Leg, ...]
    motion_s: float
    settle_s: float
    started_s: float

    @property
    def predicted_s(self) -> float:
        """Time from start to settled that the hardware alone needs."""
        return self.motion_s + self.settle_s


@dataclass(frozen=True)
class MoveTimes:
    """What a finished move took: from its start to the last idle axis, and from there until settled."""

    move_s: float
    settle_s: float


class Mover(Protocol):
    """The part of a stage that a scan uses: `drivers.stage.Stage`, or the twin's in simulated time."""

    def move(self, x_um: float | None = None, y_um: float | None = None, z_um: float | None = None) -> Move:
        """Start a move to absolute targets and return at once."""

    def wait(self, move: Move) -> MoveTimes:
        """Wait until a move has arrived and its axes have settled."""

    def retract(self) -> bool:
        """Stop everything and take Z away from the slide; whether Z is now proven to be away."""
