"""What a network sees and says, whichever runtime runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Detection:
    """One detected object in a frame: centre and size in pixels, probability in [0, 1]."""

    label: str
    probability: float
    x_px: float
    y_px: float
    width_px: float
    height_px: float


@dataclass(frozen=True)
class BackendInfo:
    """Which network ran on what; part of every verdict, so that no fallback is ever silent.

    engine: package name and version. onnx_sha256: of the shipped file. runtime: "onnxruntime 1.23.2 CPU, rewritten
    0a1b2c3d4e5f"; the last is the beginning of derived_sha256. variant: "as is", or the form that was derived from the
    file in memory, whose hash is derived_sha256 (empty as is).
    """

    kind: str
    engine: str
    onnx_sha256: str
    runtime: str
    variant: str = "as is"
    derived_sha256: str = ""


Detections = Callable[[], list[Detection]]
"""Gives the detections of a field that was begun, as soon as they are there."""


def nothing() -> list[Detection]:
    """The detections of a field that is not scored."""
    return []


class Scorer(Protocol):
    """score(image) -> detections. One thread begins fields; one, the same or another, asks for what was begun."""

    @property
    def backend(self) -> BackendInfo:
        """Which engine and runtime answer."""

    def begin(self, image: NDArray[np.uint8], um_per_px: float) -> Detections:
        """Start on one field; what is returned is to be called once, in the order in which fields were begun.

        image: uint8 RGB (H, W, 3), as `drivers.camera.colour.to_rgb` gives it; um_per_px: its scale. It may be altered
        once this has returned. A GPU works on it while the next field is begun; where all its slots are in use, this
        waits for one, and a field that is never asked for keeps its slot until `close`. On the processor, and of a
        package that reads tiles, the network has run when this returns.
        Raises BadInput when the engine was not made for this scale or shape.
        """

    def score(self, image: NDArray[np.uint8], um_per_px: float) -> list[Detection]:
        """Detections of one field, begun and waited for; see `begin`."""
        return self.begin(image, um_per_px)()

    def close(self) -> None:
        """Free the runtime; safe to call twice."""


@dataclass(frozen=True)
class OperatingPoint:
    """How the engine behaves at its threshold, measured on validation slides and shipped in its package.

    threshold: probability from which a detection counts as a finding.
    sensitivity: share of true target objects found, in focus.
    false_per_mm2: false findings per mm² of usable area (AFB's two-rate model).
    false_per_cell: false findings per counted nucleated cell (serous; 0 where the assay counts no cells).
    cutoffs: slide-score cut-offs by name (serous: t1, t2, t3), empty where the assay has none.
    source: which slides it was measured on.
    """

    name: str
    threshold: float
    sensitivity: float
    false_per_mm2: float
    false_per_cell: float
    cutoffs: dict[str, float]
    source: str
