"""A Ziehl-Neelsen sputum smear: mucus, cells, confusers and clustered bacilli."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from drivers.twin.slide.hashing import lattice_field, tile_rng
from drivers.twin.slide.library import Libraries
from drivers.twin.slide.placing import Cover, CoverSettings, Placed, Tiles, log_uniform, stamp_all
from drivers.twin.slide.scene import SceneObject, SpecimenArea
from drivers.twin.slide.settings import SputumSettings
from drivers.twin.slide.sputum_sprites import sputum_painter
from drivers.twin.slide.stains import Palette
from drivers.twin.slide.view import LayerStack, View

_TILE_UM = 223.6  # a tile is 0.05 mm², the area over which bacilli are counted
_TILE_MM2 = (_TILE_UM * 1e-3) ** 2
_PEAK = 3.0
_CONTENT, _BACILLI, _MUCUS, _GRAIN = 21, 22, 23, 27  # random streams

# Shares of the confusers; the rest of the smear has its own densities.
_CONFUSERS = {"precipitate": 0.30, "crystal": 0.15, "red_fibre": 0.10, "blue_rod": 0.30, "pink_fold": 0.15}
# So many that a slide's false findings are many things, not one thing many times.
_VARIANTS = {
    "afb": 480,
    "leucocyte": 80,
    "smear": 32,
    "squame": 16,
    "speckle": 48,
    "smudge": 80,
    "precipitate": 240,
    "crystal": 160,
    "red_fibre": 96,
    "blue_rod": 240,
    "pink_fold": 48,
}
_GRAIN_UM = 1.1
_UNLISTED = {"speckle", "smudge"}

# Groups of bacilli lie as domain reference 6.2 names them. It gives no distances: these let the rods touch, or nearly.
_SHAPE_UM_PER_PX = 0.5  # where a bacillus is painted to learn its length and direction, which no scale changes
_TRIED = 8  # variants, each in its eight turns, among which one is chosen that lies in the wanted direction
_GAP_UM = (0.0, 0.4)  # from tip to tip
_APART_UM = (0.6, 1.1)  # from rod to rod, side by side
_SHIFT_UM = (0.0, 1.5)  # of one row along the other
_OPENING_RAD = (math.radians(25.0), math.radians(100.0))  # of a V
_SWAY_RAD = 0.12
_BEND_RAD_PER_UM = 0.05
_TILT_UM = 0.15  # a group lies in one plane: spread of its members' heights
_DEPTH_UM = 3.0


class SputumPart:
    """Everything on a smear that is a rectangle on the slide."""

    def __init__(self, settings: SputumSettings, centre_um: tuple[float, float], seed: int, palette: Palette) -> None:
        rng = np.random.default_rng(np.random.SeedSequence([seed, 0xE2]))
        self._seed = seed
        self._centre = centre_um
        self._half = (settings.width_um / 2.0, settings.height_um / 2.0)
        self._palette = palette
        self._libraries = Libraries(seed, sputum_painter(palette))
        self._cover = Cover(self.area, self._inside, CoverSettings(settings.blank_share, 0.4), rng)
        self._clumping = settings.clumping
        self._bacilli_per_mm2 = settings.density_per_mm2
        pmn, squames = log_uniform(settings.pmn_per_mm2, rng), log_uniform(settings.squamous_per_mm2, rng)
        confusers, debris = log_uniform(settings.confusers_per_mm2, rng), log_uniform(settings.debris_per_mm2, rng)
        rates = {"leucocyte": pmn, "smear": 0.12 * pmn, "squame": squames}
        rates |= {"speckle": 0.55 * debris, "smudge": 0.45 * debris}
        rates |= {kind: share * confusers for kind, share in _CONFUSERS.items()}
        self._kinds, self._rates = list(rates), np.array(list(rates.values()))
        self._film_od = float(rng.uniform(0.05, 0.13))
        self._content = Tiles(_TILE_UM, 45.0, self._make_content)
        self._bacilli = Tiles(_TILE_UM, 16.0, self._make_bacilli)

    @property
    def area(self) -> SpecimenArea:
        """The rectangle of the smear."""
        width, height = 2.0 * self._half[0], 2.0 * self._half[1]
        return SpecimenArea(self._centre[0] - self._half[0], self._centre[1] - self._half[1], width, height)

    def draw(self, view: View, stack: LayerStack) -> list[SceneObject]:
        """Stamp what lies in the view; returns the truth of bacilli, cells and confusers."""
        library = self._libraries.at(view.um_per_px)
        self._draw_mucus(view, stack)
        objects = stamp_all(list(self._content.over(view)), view, stack, library)
        return objects + stamp_all(list(self._bacilli.over(view)), view, stack, library)

    def _inside(self, x_um: NDArray[np.float64], y_um: NDArray[np.float64]) -> NDArray[np.float64]:
        dx = self._half[0] - np.abs(x_um - self._centre[0])
        dy = self._half[1] - np.abs(y_um - self._centre[1])
        return np.asarray(np.minimum(dx, dy), dtype=np.float64)

    def _draw_mucus(self, view: View, stack: LayerStack) -> None:
        """Blue mucus of 20-200 µm grain, drawn out along the smear, with fine granules; OD in red 0.02-0.25."""
        x, y, seed = view.x_um, view.y_um, self._seed
        rough = 0.7 * lattice_field(seed, _MUCUS, (190.0, 120.0), x, y)
        rough += 0.5 * lattice_field(seed, _MUCUS + 1, (60.0, 25.0), x, y)
        rough += 0.35 * lattice_field(seed, _MUCUS + 2, (22.0, 9.0), x, y)
        amount = np.exp(np.clip(rough * 0.75, -2.0, 1.1))
        if view.um_per_px < _GRAIN_UM:  # coarser pixels average it out
            amount *= np.clip(1.0 + 0.12 * lattice_field(seed, _GRAIN, (_GRAIN_UM, _GRAIN_UM), x, y), 0.3, 2.0)
        amount *= self._cover.mask_on_grid(x, y)
        stack.film(amount[:, :, None] * (self._palette["film"] * np.float32(self._film_od)))

    def _make_content(self, i: int, j: int) -> list[Placed]:
        rng = tile_rng(self._seed, _CONTENT, i, j)
        counts = rng.poisson(self._rates * _PEAK * _TILE_MM2)
        kinds = np.repeat(np.arange(len(self._kinds)), counts)
        x = (j + rng.uniform(0.0, 1.0, len(kinds))) * _TILE_UM
        y = (i + rng.uniform(0.0, 1.0, len(kinds))) * _TILE_UM
        kept = rng.uniform(0.0, _PEAK, len(kinds)) < self._cover.at(x, y)
        names = [self._kinds[k] for k in kinds[kept].tolist()]
        return self._placed(names, x[kept], y[kept], rng)

    def _make_bacilli(self, i: int, j: int) -> list[Placed]:
        """Bacilli of one tile: a negative binomial number, a third of them in small groups."""
        rng = tile_rng(self._seed, _BACILLI, i, j)
        mean = self._bacilli_per_mm2 * _TILE_MM2 / self._cover.covered
        count = int(rng.poisson(rng.gamma(self._clumping, mean / self._clumping)))
        found: list[Placed] = []
        while len(found) < count:
            cx, cy = (float(rng.uniform(k, k + 1.0)) * _TILE_UM for k in (j, i))
            size = int(min(rng.geometric(0.35) + 1, 8, count - len(found))) if rng.random() < 0.14 else 1
            z_um = float(-rng.uniform(0.0, _DEPTH_UM))
            for variant, turn, dx, dy in self._group(size, rng):
                height = min(0.0, z_um + float(rng.normal(0.0, _TILT_UM))) if size > 1 else z_um
                gain = math.exp(rng.normal(0.0, 0.12))
                found.append(Placed("afb", variant, turn, cx + dx, cy + dy, height, gain, "afb"))
        if not found:
            return found
        kept = self._cover.mask(np.array([p.x_um for p in found]), np.array([p.y_um for p in found])) > 0.5
        return [item for item, inside in zip(found, kept.tolist(), strict=True) if inside]

    def _group(self, size: int, rng: np.random.Generator) -> list[tuple[int, int, float, float]]:
        """Variant, turn, and place from the group's middle in µm, of bacilli that lie together."""
        if size == 1:
            return [(int(rng.integers(_VARIANTS["afb"])), int(rng.integers(8)), 0.0, 0.0)]
        heading = float(rng.uniform(-math.pi, math.pi))
        laid = self._vee(heading, rng) if size == 2 and rng.random() < 1.0 / 3.0 else self._cord(size, heading, rng)
        mid_x, mid_y = (sum(item[axis] for item in laid) / size for axis in (2, 3))
        return [(variant, turn, x - mid_x, y - mid_y) for variant, turn, x, y in laid]

    def _vee(self, heading: float, rng: np.random.Generator) -> list[tuple[int, int, float, float]]:
        """Two bacilli from one point."""
        opening, laid = float(rng.uniform(*_OPENING_RAD)), []
        for angle in (heading - opening / 2.0, heading + opening / 2.0):
            variant, turn, length = self._lying(angle, rng)
            reach = length / 2.0 + _GAP_UM[1] / 2.0
            laid.append((variant, turn, reach * math.cos(angle), reach * math.sin(angle)))
        return laid

    def _cord(self, size: int, heading: float, rng: np.random.Generator) -> list[tuple[int, int, float, float]]:
        """Bacilli tip to tip in one row, or in two rows side by side, along a gently bent line."""
        apart, bend = float(rng.uniform(*_APART_UM)), float(rng.normal(0.0, _BEND_RAD_PER_UM))
        ends = [0.0] if size < 4 and rng.random() < 0.5 else [0.0, float(rng.uniform(*_SHIFT_UM))]
        laid = []
        for _ in range(size):
            row = ends.index(min(ends))
            variant, turn, length = self._lying(heading + bend * ends[row] + float(rng.normal(0.0, _SWAY_RAD)), rng)
            along = ends[row] + length / 2.0
            across = row * apart + 0.5 * bend * along * along
            ends[row] += length + float(rng.uniform(*_GAP_UM))
            x = along * math.cos(heading) - across * math.sin(heading)
            laid.append((variant, turn, x, along * math.sin(heading) + across * math.cos(heading)))
        return laid

    def _lying(self, heading: float, rng: np.random.Generator) -> tuple[int, int, float]:
        """Variant and turn of a bacillus in about this direction, and its length in µm."""
        angles, lengths = self._shapes
        variants = rng.integers(_VARIANTS["afb"], size=_TRIED)
        off = (angles[variants] - heading + math.pi / 2.0) % math.pi - math.pi / 2.0
        best, turn = divmod(int(np.abs(off).argmin()), angles.shape[1])
        return int(variants[best]), turn, float(lengths[variants[best]])

    @cached_property
    def _shapes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Direction of each variant of a bacillus in each turn (variants, 8), and its length in µm (variants,)."""
        library = self._libraries.at(_SHAPE_UM_PER_PX)
        sprites = [library.get("afb", variant) for variant in range(_VARIANTS["afb"])]
        widths = np.array([s.thickness_um for s in sprites])
        boxes = np.array([(s.width_um, s.height_um) for s in sprites])
        angles = np.array([[s.turned(turn).angle_rad for turn in range(8)] for s in sprites])
        return angles, np.hypot(*(boxes.T - widths)) + widths

    def _placed(
        self, kinds: list[str], x: NDArray[np.float64], y: NDArray[np.float64], rng: np.random.Generator
    ) -> list[Placed]:
        draws = rng.integers(1 << 30, size=len(x)).tolist()
        turns = rng.integers(8, size=len(x)).tolist()
        heights = (-rng.uniform(0.0, _DEPTH_UM, len(x))).tolist()
        gains = np.exp(rng.normal(0.0, 0.12, len(x))).tolist()
        return [
            Placed(kind, draw % _VARIANTS[kind], turn, cx, cy, z, gain, "" if kind in _UNLISTED else kind)
            for kind, draw, turn, cx, cy, z, gain in zip(
                kinds, draws, turns, x.tolist(), y.tolist(), heights, gains, strict=True
            )
        ]
