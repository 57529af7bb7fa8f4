"""The twin in simulated time: the same slide, axes, optics and sensor behind the same interfaces, without waiting."""

from drivers.twin.virtual.camera import VirtualCamera
from drivers.twin.virtual.clock import PacedClock, VirtualClock
from drivers.twin.virtual.microscope import FieldShelf, Truth, VirtualMicroscope
from drivers.twin.virtual.repeated import FieldLadder, RepeatedMicroscope, draw_ladder
from drivers.twin.virtual.stage import VirtualStage

__all__ = [
    "FieldLadder",
    "FieldShelf",
    "PacedClock",
    "RepeatedMicroscope",
    "Truth",
    "VirtualCamera",
    "VirtualClock",
    "VirtualMicroscope",
    "VirtualStage",
    "draw_ladder",
]
