"""Where things lie: densities over the slide, and stamping what was placed."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from drivers.twin.slide.hashing import tiles_over
from drivers.twin.slide.library import Library
from drivers.twin.slide.scene import SceneObject, SpecimenArea
from drivers.twin.slide.settings import Interval
from drivers.twin.slide.view import LayerStack, View
from drivers.twin.surface import SmoothField

_KEPT_TILES = 2_048
_GRADIENT_UM = 1_500.0
_SAMPLES = 64  # a side, to find the mean density of a slide
_PATCH_UM = 650.0
_PATCH_EDGE = 0.08
_EDGE_UM = 40.0
_BLANK_SHARES = [0.005, 0.02, 0.05, 0.10, 0.20, 0.50]
_CUTS = [-1.91, -1.40, -1.00, -0.655, -0.228, 0.554]
FACE_UM = 2.0  # the glass lies this far above the middle plane of flat cells


class Located(Protocol):
    """Anything with a place on the slide."""

    @property
    def x_um(self) -> float:
        """Stage position along x."""

    @property
    def y_um(self) -> float:
        """Stage position along y."""


T = TypeVar("T", bound=Located)


class Placed(NamedTuple):
    """One sprite on the slide: which, where (stage µm), how turned, how strong.

    z_um: of its side towards the glass, relative to where flat cells touch it; the rest reaches towards the objective.
    kind: of the sprite. label: of the truth; empty where it is no object of its own. group: of its cluster, or 0.
    """

    kind: str
    variant: int
    turn: int
    x_um: float
    y_um: float
    z_um: float
    gain: float
    label: str
    malignant: bool = False
    group: int = 0


def log_uniform(bounds: Interval, rng: np.random.Generator) -> float:
    """A value between bounds, evenly on a log scale (a low bound of 0 counts as a hundredth of the high one)."""
    if bounds.high <= 0.0:
        return 0.0
    low = max(bounds.low, bounds.high * 0.01)
    return float(math.exp(rng.uniform(math.log(low), math.log(max(low, bounds.high)))))


class Tiles(Generic[T]):
    """Content by tile: made when first needed, kept while recent. Safe to use from several threads."""

    def __init__(self, tile_um: float, margin_um: float, make: Callable[[int, int], list[T]]) -> None:
        self._tile_um = tile_um
        self._margin_um = margin_um
        self._make = make
        self._kept: OrderedDict[tuple[int, int], list[T]] = OrderedDict()
        self._lock = threading.Lock()

    def over(self, view: View) -> Iterator[T]:
        """All content that may reach into a view, in an order that depends on place only."""
        margin = self._margin_um
        cols = tiles_over(float(view.x_um[0]) - margin, float(view.x_um[-1]) + margin, self._tile_um)
        rows = tiles_over(float(view.y_um[0]) - margin, float(view.y_um[-1]) + margin, self._tile_um)
        for i in rows:
            for j in cols:
                for item in self._tile(i, j):
                    if self._near(item, view):
                        yield item

    def _near(self, item: T, view: View) -> bool:
        dx = max(view.x_um[0] - item.x_um, item.x_um - view.x_um[-1])
        dy = max(view.y_um[0] - item.y_um, item.y_um - view.y_um[-1])
        return bool(max(dx, dy) <= self._margin_um)

    def _tile(self, i: int, j: int) -> list[T]:
        with self._lock:
            found = self._kept.get((i, j))
            if found is None:
                found = self._kept[(i, j)] = self._make(i, j)
                if len(self._kept) > _KEPT_TILES:
                    self._kept.popitem(last=False)
        return found


Inside = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""Distance to the specimen's edge in µm at points, positive within."""


@dataclass(frozen=True)
class CoverSettings:
    """blank_share: share of fields of 0.2 mm² that hold nothing. unevenness: log-normal spread of the density."""

    blank_share: float
    unevenness: float


class Cover:
    """Relative density of the specimen over the slide: gradients, empty patches and an outer edge.

    Its mean is 1 over the area that is not bare. covered: share of the specimen's area that is not bare.
    """

    def __init__(self, area: SpecimenArea, inside: Inside, settings: CoverSettings, rng: np.random.Generator) -> None:
        self._inside = inside
        self._gradient = SmoothField(settings.unevenness, _GRADIENT_UM, rng)
        self._patches = SmoothField(1.0, _PATCH_UM, rng)
        self._cut = _patch_cut(settings.blank_share)
        self._scale = 1.0
        x = area.x_um + (np.arange(_SAMPLES) + 0.5) / _SAMPLES * area.width_um
        y = area.y_um + (np.arange(_SAMPLES) + 0.5) / _SAMPLES * area.height_um
        within = inside(x[None, :], y[:, None]) > 0.0
        mask = self.mask_on_grid(x, y)[within]
        level = np.exp(self._gradient.on_grid(x, y))[within]
        self.covered = max(0.05, float(mask.mean()))
        self._scale = 1.0 / max(1e-6, float((level * mask).sum() / max(1e-6, mask.sum())))

    def at(self, x_um: NDArray[np.float64], y_um: NDArray[np.float64]) -> NDArray[np.float64]:
        """Relative density at points, between 0 and 3."""
        level = np.clip(np.exp(self._gradient.at(x_um, y_um)) * self._scale, 0.0, 3.0)
        return np.asarray(level * self.mask(x_um, y_um), dtype=np.float64)

    def mask(self, x_um: NDArray[np.float64], y_um: NDArray[np.float64]) -> NDArray[np.float64]:
        """1 where there is specimen, 0 in bare patches and outside, at points."""
        patch = np.clip((self._patches.at(x_um, y_um) - self._cut) / _PATCH_EDGE, 0.0, 1.0)
        return np.asarray(patch * np.clip(self._inside(x_um, y_um) / _EDGE_UM, 0.0, 1.0), dtype=np.float64)

    def mask_on_grid(self, x_um: NDArray[np.float64], y_um: NDArray[np.float64]) -> NDArray[np.float32]:
        """The same on the grid spanned by two axes, float32 (len(y_um), len(x_um))."""
        patch = np.clip((self._patches.on_grid(x_um, y_um) - self._cut) / _PATCH_EDGE, 0.0, 1.0)
        edge = np.clip(self._inside(x_um[None, :], y_um[:, None]) / _EDGE_UM, 0.0, 1.0)
        return np.asarray(patch * edge, dtype=np.float32)


def _patch_cut(blank_share: float) -> float:
    """Level of the patch field below which the slide is bare, so that `blank_share` of the fields hold nothing.

    Fitted to counts of wholly bare fields of 565 x 354 µm.
    """
    if blank_share <= 0.0:
        return -9.0
    return float(np.interp(math.log(blank_share), np.log(_BLANK_SHARES), _CUTS))


def stamp_all(placed: Sequence[Placed], view: View, stack: LayerStack, library: Library) -> list[SceneObject]:
    """Stamp sprites and give the truth of those with a label whose centre lies in the view."""
    if not placed:
        return []
    relief = view.relief_um(np.array([p.x_um for p in placed]), np.array([p.y_um for p in placed]))
    x0, y0, scale = float(view.x_um[0]), float(view.y_um[0]), view.um_per_px
    objects = []
    for item, lift in zip(placed, relief.tolist(), strict=True):
        sprite = library.get(item.kind, item.variant).turned(item.turn)
        rows, cols = sprite.od.shape[:2]
        row = math.floor((item.y_um - y0) / scale + 0.5) - rows // 2
        col = math.floor((item.x_um - x0) / scale + 0.5) - cols // 2
        z_um = item.z_um + lift + FACE_UM - sprite.thickness_um / 2.0
        stack.stamp(sprite.od, row, col, z_um, thickness_um=sprite.thickness_um, gain=item.gain, group=item.group)
        if item.label and view.holds(item.x_um, item.y_um):
            objects.append(
                SceneObject(
                    item.label,
                    item.malignant,
                    item.x_um,
                    item.y_um,
                    z_um,
                    sprite.width_um,
                    sprite.height_um,
                    sprite.angle_rad,
                    in_cluster=item.group != 0,
                )
            )
    return objects
