"""What one place on a slide holds: absorbing layers at depths, and the objects they were painted from."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SceneObject:
    """One object of the truth, in stage coordinates.

    kind: see `kinds`. malignant: a malignant cell, or a cluster of them.
    x_um, y_um: centre. z_um: height of its middle relative to the surface at the scene's centre.
    width_um, height_um: its box along x and along y. angle_rad: of its long axis, from +x towards +y.
    in_cluster: a cell that is part of a cluster, which is listed as an object of its own.
    """

    kind: str
    malignant: bool
    x_um: float
    y_um: float
    z_um: float
    width_um: float
    height_um: float
    angle_rad: float = 0.0
    in_cluster: bool = False


@dataclass(frozen=True)
class Layer:
    """A thin absorber.

    z_um: height relative to the surface at the scene's centre; larger is deeper, towards the glass.
    od: float32 (h, w, 3), optical density in R, G, B. row0, col0: where od[0, 0] lies in the scene;
    outside od the layer is clear. Several layers may share a height (boxes around tall clusters).
    """

    z_um: float
    od: NDArray[np.float32]
    row0: int = 0
    col0: int = 0


@dataclass(frozen=True)
class Scene:
    """The content of a rectangle of slide.

    x0_um, y0_um: stage position of the centre of pixel (0, 0); x grows with columns, y with rows.
    layers: in order of height; their optical densities add up. objects: those whose centre lies inside.
    """

    um_per_px: float
    x0_um: float
    y0_um: float
    width_px: int
    height_px: int
    layers: list[Layer]
    objects: list[SceneObject] = field(default_factory=list)

    def total_od(self) -> NDArray[np.float32]:
        """Optical density through all layers, float32 (height_px, width_px, 3)."""
        total = np.zeros((self.height_px, self.width_px, 3), np.float32)
        for layer in self.layers:
            rows, cols = layer.od.shape[:2]
            total[layer.row0 : layer.row0 + rows, layer.col0 : layer.col0 + cols] += layer.od
        return total


class Shown(Enum):
    """What of a slide a scene holds: all of it, the specimen alone, or the dust, bubbles and ink alone."""

    ALL = "all"
    SPECIMEN = "specimen"
    DIRT = "dirt"


@dataclass(frozen=True)
class SpecimenArea:
    """The box around the specimen on the slide: smallest x and y, and its size, in stage µm."""

    x_um: float
    y_um: float
    width_um: float
    height_um: float


class Slide(Protocol):
    """A slide on the stage. Safe to call from several threads."""

    @property
    def content(self) -> str:
        """serous, sputum, pictures, empty or ink."""

    @property
    def illumination(self) -> tuple[float, float, float]:
        """Brightness of a clear place of this slide in R, G, B, relative to the brightest channel."""

    @property
    def specimen(self) -> SpecimenArea:
        """Where the specimen lies."""

    def surface_um(self, x_um: float, y_um: float) -> float:
        """Height of the specimen over the reference plane."""

    def scene(
        self,
        x0_um: float,
        y0_um: float,
        width_px: int,
        height_px: int,
        um_per_px: float,
        *,
        layer_pitch_um: float = 1.0,
        shown: Shown = Shown.ALL,
    ) -> Scene:
        """The content of a rectangle, the same however and whenever it is visited.

        x0_um, y0_um: stage position of the centre of pixel (0, 0).
        layer_pitch_um: distance between layers near the surface; tall clusters use coarser steps further out.
        """
