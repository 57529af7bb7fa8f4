"""A Ziehl-Neelsen sputum smear: mucus, cells, confusers and clustered bacilli."""

from __future__ import annotations

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
_VARIANTS = {
    "afb": 160,
    "leucocyte": 40,
    "smear": 16,
    "squame": 8,
    "speckle": 12,
    "smudge": 20,
    "precipitate": 24,
    "crystal": 20,
    "red_fibre": 16,
    "blue_rod": 24,
    "pink_fold": 16,
}
_GRAIN_UM = 1.1
_UNLISTED = {"speckle", "smudge"}


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
        self._bacilli = Tiles(_TILE_UM, 8.0, self._make_bacilli)

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
        x: list[float] = []
        y: list[float] = []
        while len(x) < count:
            cx, cy = (rng.uniform(0.0, 1.0, 2) * _TILE_UM).tolist()
            size = int(min(rng.geometric(0.35) + 1, 8, count - len(x))) if rng.random() < 0.14 else 1
            x += (cx + rng.normal(0.0, 1.1, size)).tolist()
            y += (cy + rng.normal(0.0, 1.1, size)).tolist()
        px, py = np.array(x) + j * _TILE_UM, np.array(y) + i * _TILE_UM
        kept = self._cover.mask(px, py) > 0.5 if count else np.zeros(0, bool)
        return self._placed(["afb"] * int(kept.sum()), px[kept], py[kept], rng)

    def _placed(
        self, kinds: list[str], x: NDArray[np.float64], y: NDArray[np.float64], rng: np.random.Generator
    ) -> list[Placed]:
        draws = rng.integers(1 << 30, size=len(x)).tolist()
        turns = rng.integers(8, size=len(x)).tolist()
        heights = (-rng.uniform(0.0, 3.0, len(x))).tolist()
        gains = np.exp(rng.normal(0.0, 0.12, len(x))).tolist()
        return [
            Placed(kind, draw % _VARIANTS[kind], turn, cx, cy, z, gain, "" if kind in _UNLISTED else kind)
            for kind, draw, turn, cx, cy, z, gain in zip(
                kinds, draws, turns, x.tolist(), y.tolist(), heights, gains, strict=True
            )
        ]
