"""Prepares fields in a process of its own, ahead of the exposures that need them.

The process paints and transforms scenes into slots of shared memory; exposures read them there. So building a field
neither holds up an exposure nor the controller's answers, and the memory that fields take is bounded.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.reduction import DupFd
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from drivers.errors import DeviceError
from drivers.twin.focus_truth import FocusTruth, shows_nothing, specimen_truth
from drivers.twin.imaging import MARGIN_PX, Prepared, StoreTooSmall, Window, prepare
from drivers.twin.optics import Optics
from drivers.twin.settings import CameraModel, TwinSettings
from drivers.twin.slide import Slide, make_slide

Place = tuple[float, float]

_SLOTS = 4
_MARGIN_UM = 8.0
"""Within which the stage may err and the field still serves; so what lies that near its edge may be in the picture or
not."""
_LITTLE = 20.0
"""Times what a blank field holds at most; four cells in a field of 450x."""
_COARSER = (1.0, 1.5, 2.5, 4.0, 8.0)
_END_S = 5.0
_PATIENCE_S = 0.3


class BuilderStopped(DeviceError):
    """The process that prepares fields ended."""


@dataclass(frozen=True)
class BuiltField:
    """A field ready for exposures.

    truth: of the specimen within a frame at its centre. surface_um: height of the specimen there over the reference
    plane. at_edge: so little lies in the frame that whether it is blank depends on what lies at its edge, and so on the
    stage's errors.
    """

    prepared: Prepared
    truth: FocusTruth
    surface_um: float
    at_edge: bool = False


def build_field(
    slide: Slide, settings: TwinSettings, place: Place, store: NDArray[np.complex64] | None = None
) -> BuiltField:
    """Prepare the field centred at a stage position.

    When it does not fit into `store`, its layers are drawn further apart until it does. Raises StoreTooSmall when even
    that is not enough.
    """
    optics, camera = Optics.of(settings.optics), settings.camera
    margin_px = max(MARGIN_PX, round(_MARGIN_UM / optics.um_per_px))
    window = Window.around(*place, (camera.width_px, camera.height_px), optics.um_per_px, margin_px=margin_px)
    corner = (window.x0_um, window.y0_um, window.width_px, window.height_px, optics.um_per_px)
    for coarser in _COARSER:
        pitch_um = coarser * optics.depth_of_field_um / 3
        scene = slide.scene(*corner, layer_pitch_um=pitch_um)
        try:
            prepared = prepare(scene, optics, store)
        except StoreTooSmall:
            if coarser == _COARSER[-1]:
                raise
            continue
        break
    truth = specimen_truth(slide, prepared, camera.width_px, camera.height_px, pitch_um)
    at_edge = _depends_on_edge(slide, prepared, truth, camera, pitch_um)
    return BuiltField(prepared, truth, slide.surface_um(*prepared.centre_um), at_edge)


def _depends_on_edge(slide: Slide, prepared: Prepared, truth: FocusTruth, camera: CameraModel, pitch_um: float) -> bool:
    """Whether a frame a little smaller is blank, and one a little larger is not."""
    if not shows_nothing(replace(truth, energy=truth.energy / _LITTLE), camera):
        return False
    edge_px = 4 * round(_MARGIN_UM / prepared.um_per_px / 2)
    smaller, larger = (
        specimen_truth(slide, prepared, camera.width_px + by, camera.height_px + by, pitch_um)
        for by in (-edge_px, edge_px)
    )
    return shows_nothing(smaller, camera) and not shows_nothing(larger, camera)


class _Travelling(Protocol):
    """A file descriptor on its way to another process."""

    def detach(self) -> int:
        """The descriptor there."""


class _SharedMemory:
    """Memory that another process can map too, and that is gone when both are. Travels by being given to a process."""

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self._size = size
        self.map = mmap.mmap(fd, size)

    @classmethod
    def of_size(cls, size: int) -> _SharedMemory:
        fd = os.memfd_create("cytoscan-twin-field", os.MFD_CLOEXEC)
        os.ftruncate(fd, size)
        return cls(fd, size)

    @classmethod
    def _arrive(cls, travelling: _Travelling, size: int) -> _SharedMemory:
        return cls(travelling.detach(), size)

    def __reduce__(self) -> tuple[object, ...]:
        return self._arrive, (DupFd(self._fd), self._size)

    def values(self, count: int = -1) -> NDArray[np.complex64]:
        return np.frombuffer(self.map, np.complex64, count=count)

    def close(self) -> None:
        """Close the descriptor; what is mapped stays until nobody looks at it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _work(link: Connection, slots: Sequence[_SharedMemory], settings: TwinSettings) -> None:
    """The process: build what is asked for until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    slide = make_slide(settings.slide, settings.seed)
    while True:
        try:
            index, place = link.recv()
        except EOFError:
            return
        store = slots[index].values()
        field = build_field(slide, settings, place, store)
        empty = np.empty(0, np.complex64)
        values = len(field.prepared.store)
        try:
            link.send((index, values, replace(field, prepared=replace(field.prepared, store=empty))))
        except BrokenPipeError:
            return


@dataclass
class _Slot:
    memory: _SharedMemory
    field: BuiltField | None = None
    last_use: int = 0


class FieldBuilder:
    """Fields by place: those that are ready, the one being built, and those wished for. Thread-safe."""

    def __init__(self, settings: TwinSettings) -> None:
        """Start the process, anew rather than as a fork, which would not survive the threads of libraries."""
        self._width_px, self._height_px = settings.camera.width_px, settings.camera.height_px
        slot_bytes = settings.builder.memory_mb * (1 << 20) // _SLOTS // mmap.PAGESIZE * mmap.PAGESIZE
        self._slots = [_Slot(_SharedMemory.of_size(slot_bytes)) for _ in range(_SLOTS)]
        context = multiprocessing.get_context("spawn")
        self._link, far_end = context.Pipe()
        self._process = context.Process(
            target=_work,
            args=(far_end, [slot.memory for slot in self._slots], settings),
            name="twin-fields",
            daemon=True,
        )
        self._process.start()
        far_end.close()
        self._changed = threading.Condition()
        self._building: tuple[_Slot, Place] | None = None
        self._urgent: Place | None = None
        self._wishes: list[Place] = []
        self._held: BuiltField | None = None
        self._uses = 0
        self._stopped = False
        self._thread = threading.Thread(target=self._collect, name="twin-fields", daemon=True)
        self._thread.start()

    def field(self, x_um: float, y_um: float, waiting: Callable[[], None] = lambda: None) -> BuiltField:
        """The field that covers a frame at this place; waits until it is built, calling `waiting` now and then.

        It stays valid until the next call. Raises BuilderStopped.
        """
        with self._changed:
            self._held = None
            while (slot := self._ready(x_um, y_um)) is None or slot.field is None:
                if self._stopped:
                    raise BuilderStopped("The twin cannot prepare fields any more.", remedy="Start the twin again.")
                self._urgent = (x_um, y_um)
                self._start_next()
                self._changed.wait(_PATIENCE_S)
                waiting()
            self._urgent = None
            self._uses += 1
            slot.last_use = self._uses
            self._held = slot.field
            return slot.field

    def is_ready(self, x_um: float, y_um: float) -> bool:
        """Whether `field` would return at once."""
        with self._changed:
            return self._ready(x_um, y_um) is not None

    def wish(self, places: Sequence[Place]) -> None:
        """Prepare these places next, in this order, while nothing is waited for; replaces earlier wishes."""
        with self._changed:
            self._wishes = list(places[: _SLOTS - 1])
            self._start_next()

    def _covers(self, field: BuiltField, place: Place) -> bool:
        return field.prepared.covers(*place, self._width_px, self._height_px)

    def _ready(self, x_um: float, y_um: float) -> _Slot | None:
        for slot in self._slots:
            if slot.field is not None and self._covers(slot.field, (x_um, y_um)):
                return slot
        return None

    def _start_next(self) -> None:
        """Hand the process its next place, if it is free and one is wanted. Call with the lock held."""
        if self._building is not None or self._stopped:
            return
        wanted = [self._urgent] if self._urgent is not None else []
        for place in [*wanted, *self._wishes]:
            if self._ready(*place) is None:
                slot = self._least_useful()
                slot.field = None
                self._building = (slot, place)
                try:
                    self._link.send((self._slots.index(slot), place))
                except OSError:
                    self._stopped = True
                return

    def _least_useful(self) -> _Slot:
        """An empty slot, or the one used longest ago that nobody holds or wishes for."""

        def worth(slot: _Slot) -> tuple[int, int]:
            if slot.field is None:
                return (0, 0)
            wished = any(self._covers(slot.field, place) for place in self._wishes)
            return (2 if wished else 1, slot.last_use)

        return min((slot for slot in self._slots if slot.field is None or slot.field is not self._held), key=worth)

    def _collect(self) -> None:
        """Take in what the process has built."""
        while True:
            try:
                index, values, field = self._link.recv()
            except (EOFError, OSError):
                break
            with self._changed:
                slot = self._slots[index]
                store = slot.memory.values(values)
                slot.field = replace(field, prepared=replace(field.prepared, store=store))
                self._uses += 1
                slot.last_use = self._uses
                self._building = None
                self._start_next()
                self._changed.notify_all()
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def close(self) -> None:
        """End the process; safe to call twice."""
        self._process.terminate()
        self._process.join(_END_S)
        self._thread.join(_END_S)
        self._link.close()
        for slot in self._slots:
            slot.memory.close()
