"""A rectangle of slide being drawn: its grid, and the layers that its objects are stamped onto."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from drivers.twin.slide.scene import Layer
from drivers.twin.surface import Surface

_FINE_NODES = 4  # nodes at full pitch on each side of the surface; then as many at double, then quadruple pitch
_MERGE_NODES = 3  # near the surface the boxes of clusters join the common layers
_FAINT = 0.03  # a share of an object too small to be worth a layer


@dataclass(frozen=True)
class View:
    """Geometry of the rectangle, and the surface under it.

    x_um, y_um: stage positions of the columns and rows. centre_height_um: surface at the middle.
    """

    um_per_px: float
    x_um: NDArray[np.float64]
    y_um: NDArray[np.float64]
    surface: Surface
    centre_height_um: float

    @classmethod
    def of(cls, origin_um: tuple[float, float], size_px: tuple[int, int], um_per_px: float, surface: Surface) -> View:
        """The view of `size_px` (width, height) whose pixel (0, 0) looks at `origin_um`."""
        x_um = origin_um[0] + np.arange(size_px[0], dtype=np.float64) * um_per_px
        y_um = origin_um[1] + np.arange(size_px[1], dtype=np.float64) * um_per_px
        middle = surface.height_um((x_um[0] + x_um[-1]) / 2.0, (y_um[0] + y_um[-1]) / 2.0)
        return cls(um_per_px, x_um, y_um, surface, float(middle))

    def relief_um(self, x_um: NDArray[np.float64], y_um: NDArray[np.float64]) -> NDArray[np.float64]:
        """Surface heights at points, relative to the middle of the view."""
        return self.surface.height_um(x_um, y_um) - self.centre_height_um

    def holds(self, x_um: float, y_um: float) -> bool:
        """Whether a point lies inside."""
        half = self.um_per_px / 2.0
        inside_x = self.x_um[0] - half <= x_um < self.x_um[-1] + half
        return bool(inside_x and self.y_um[0] - half <= y_um < self.y_um[-1] + half)


def _node_z(index: int, pitch_um: float) -> float:
    """Height of a layer node: fine near the surface, coarser further away."""
    n = abs(index)
    steps = min(n, _FINE_NODES) + 2 * min(max(n - _FINE_NODES, 0), _FINE_NODES) + 4 * max(n - 2 * _FINE_NODES, 0)
    return math.copysign(steps * pitch_um, index)


def _position(z_um: float, pitch_um: float) -> float:
    """Inverse of `_node_z` on the real line: fractional node index of a height."""
    steps = abs(z_um) / pitch_um
    fine, double = float(_FINE_NODES), float(3 * _FINE_NODES)
    if steps <= fine:
        position = steps
    elif steps <= double:
        position = fine + (steps - fine) / 2.0
    else:
        position = 2.0 * fine + (steps - double) / 4.0
    return math.copysign(position, z_um)


def _positions(z_um: NDArray[np.float32], pitch_um: float) -> NDArray[np.float32]:
    """`_position` for an array of heights."""
    steps = np.abs(z_um) / np.float32(pitch_um)
    knots = np.array([0.0, _FINE_NODES, 3 * _FINE_NODES, 3 * _FINE_NODES + 4_000.0])
    values = np.array([0.0, _FINE_NODES, 2 * _FINE_NODES, 2 * _FINE_NODES + 1_000.0])
    signed: NDArray[np.float32] = np.copysign(np.interp(steps, knots, values), z_um).astype(np.float32)
    return signed


def layer_shares(z_um: float, thickness_um: float, pitch_um: float) -> dict[int, float]:
    """How an absorber spread evenly over its thickness divides among layer nodes; the shares add up to 1."""
    samples = max(1, math.ceil(thickness_um / pitch_um * 2.0))
    shares: dict[int, float] = {}
    for k in range(samples):
        position = _position(z_um + thickness_um * ((k + 0.5) / samples - 0.5), pitch_um)
        low = math.floor(position)
        upper = position - low
        shares[low] = shares.get(low, 0.0) + (1.0 - upper) / samples
        shares[low + 1] = shares.get(low + 1, 0.0) + upper / samples
    kept = {node: share for node, share in shares.items() if share > _FAINT}
    total = sum(kept.values())
    return {node: share / total for node, share in kept.items()}


@dataclass(frozen=True)
class _Stamp:
    """A sprite waiting for its layer: (h, w, 3) densities, where its corner goes, and its share."""

    od: NDArray[np.float32]
    row: int
    col: int
    weight: float


class LayerStack:
    """Collects stamps and films, then sums them into as few and as small layers as they need."""

    def __init__(self, height_px: int, width_px: int, pitch_um: float) -> None:
        self._shape = (height_px, width_px)
        self._pitch = pitch_um
        self._stamps: dict[tuple[int, int], list[_Stamp]] = {}

    def stamp(
        self,
        od: NDArray[np.float32],
        row: int,
        col: int,
        z_um: float,
        *,
        thickness_um: float = 0.0,
        gain: float = 1.0,
        group: int = 0,
    ) -> None:
        """Lay a sprite with its corner at (row, col), which may lie outside; parts outside are cut off.

        group: 0 for flat content; one number per tall cluster, so that its deep layers stay small.
        """
        top, left = max(row, 0), max(col, 0)
        bottom, right = min(row + od.shape[0], self._shape[0]), min(col + od.shape[1], self._shape[1])
        if bottom <= top or right <= left:
            return
        part = od[top - row : bottom - row, left - col : right - col]
        for node, share in layer_shares(z_um, thickness_um, self._pitch).items():
            key = (node, 0 if abs(node) <= _MERGE_NODES else group)
            self._stamps.setdefault(key, []).append(_Stamp(part, top, left, share * gain))

    def film(self, od: NDArray[np.float32]) -> None:
        """Lay a smooth film (height, width, 3) over the whole view, at the surface. Takes the array over."""
        self._stamps.setdefault((0, 0), []).insert(0, _Stamp(od, 0, 0, 1.0))

    def sheet(self, od: NDArray[np.float32], row: int, col: int, z_um: NDArray[np.float32]) -> None:
        """Lay a thin sheet (h, w, 3) that lies wholly inside the view and whose height z_um (h, w) varies."""
        position = _positions(z_um, self._pitch)
        for node in range(math.floor(float(position.min())), math.floor(float(position.max())) + 2):
            share = np.clip(1.0 - np.abs(position - np.float32(node)), 0.0, 1.0)
            if float(share.max()) > 0.0:
                self._stamps.setdefault((node, 0), []).append(_Stamp(od * share[:, :, None], row, col, 1.0))

    def layers(self) -> list[Layer]:
        """The layers that hold something, by height."""
        built = []
        for (node, _), stamps in sorted(self._stamps.items(), key=lambda item: item[0]):
            top, left = min(s.row for s in stamps), min(s.col for s in stamps)
            bottom = max(s.row + s.od.shape[0] for s in stamps)
            right = max(s.col + s.od.shape[1] for s in stamps)
            od, rest = _ground(stamps, (bottom - top, right - left, 3))
            for s in rest:
                place = od[s.row - top : s.row - top + s.od.shape[0], s.col - left : s.col - left + s.od.shape[1]]
                cv2.scaleAdd(s.od, s.weight, place, place)
            built.append(Layer(_node_z(node, self._pitch), od, top, left))
        return built


def _ground(stamps: list[_Stamp], shape: tuple[int, int, int]) -> tuple[NDArray[np.float32], list[_Stamp]]:
    """The array to add stamps to, and those still to add: a leading film is the ground itself."""
    first = stamps[0]
    if first.od.shape == shape and first.weight == 1.0 and first.od.flags.c_contiguous and first.od.flags.owndata:
        return first.od, stamps[1:]
    return np.zeros(shape, np.float32), stamps
