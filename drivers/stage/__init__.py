"""The stage over a serial port: bytes, frames, a dialect, one conversation, and on top of them moves in µm."""

from drivers.stage.model import (
    ControllerInfo,
    Move,
    Mover,
    MoveStopped,
    MoveTimes,
    NoAnswer,
    Position,
    StageBusy,
    Trust,
)
from drivers.stage.opening import open_stage
from drivers.stage.settings import AXES, AxisName, AxisSettings, StageSettings, standard_stage
from drivers.stage.stage import Stage

__all__ = [
    "AXES",
    "AxisName",
    "AxisSettings",
    "ControllerInfo",
    "Move",
    "MoveStopped",
    "MoveTimes",
    "Mover",
    "NoAnswer",
    "Position",
    "Stage",
    "StageBusy",
    "StageSettings",
    "Trust",
    "open_stage",
    "standard_stage",
]
