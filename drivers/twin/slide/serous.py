"""A serous effusion on a cytospin: which cells lie where."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.twin.slide.clusters import Cluster, mean_count, place_cluster
from drivers.twin.slide.hashing import lattice_field, tile_rng
from drivers.twin.slide.library import Libraries
from drivers.twin.slide.placing import Cover, CoverSettings, Placed, Tiles, log_uniform, stamp_all
from drivers.twin.slide.scene import SceneObject, SpecimenArea
from drivers.twin.slide.serous_sprites import Preparation, serous_painter
from drivers.twin.slide.settings import SerousSettings
from drivers.twin.slide.stains import Palette
from drivers.twin.slide.view import LayerStack, View

FIELD_MM2 = 0.2
_CELL_TILE_UM = 128.0
_CLUSTER_TILE_UM = 512.0
_PEAK = 3.0  # highest relative density of a Cover
_CELLS, _REDS, _CLUSTERS, _FILM = 11, 12, 13, 14  # random streams

# Median ball widths overlap; malignant ones tend to be larger.
_CLUSTER_WIDTH_UM = {"mesothelial": 48.0, "malignant": 52.0}
_BENIGN = {"lymphocyte": 0.28, "macrophage": 0.25, "mesothelial": 0.31, "neutrophil": 0.12, "eosinophil": 0.03}
_EXTRAS = {"debris": 0.06, "naked_nucleus": 0.05, "fibrin": 0.008, "precipitate": 0.02}
# So many that a slide's false findings are many cells, not one cell many times: real cells do not repeat.
_VARIANTS = {
    "red_cell": 48,
    "lymphocyte": 160,
    "neutrophil": 80,
    "eosinophil": 40,
    "macrophage": 160,
    "mesothelial": 320,
    "reactive": 480,
    "malignant": 480,
    "debris": 96,
    "naked_nucleus": 160,
    "fibrin": 16,
    "precipitate": 48,
}


@dataclass(frozen=True)
class SerousLook:
    """What differs between slides besides their cells."""

    palette: Palette
    preparation: Preparation


class SerousPart:
    """Cells, clusters, red cells and debris within a disc."""

    def __init__(self, settings: SerousSettings, centre_um: tuple[float, float], seed: int, look: SerousLook) -> None:
        rng = np.random.default_rng(np.random.SeedSequence([seed, 0xE1]))
        self._seed = seed
        self._centre = centre_um
        self._radius = settings.diameter_um / 2.0
        self._libraries = Libraries(seed, serous_painter(look.palette, look.preparation))
        self._cover = Cover(self.area, self._inside, CoverSettings(settings.blank_share, 0.45), rng)
        self._cells_per_um2 = log_uniform(settings.nucleated_per_field, rng) / FIELD_MM2 * 1e-6
        self._reds_per_um2 = log_uniform(settings.rbc_per_field, rng) / FIELD_MM2 * 1e-6
        self._film_od = float(rng.uniform(0.004, 0.02)) * look.palette["film"]
        self._kinds, self._weights = self._mixture(settings, rng)
        self._cluster_rates = self._clusters_per_um2(settings)
        self._cells = Tiles(_CELL_TILE_UM, 45.0, self._make_cells)
        self._reds = Tiles(_CELL_TILE_UM, 8.0, self._make_reds)
        self._clusters = Tiles(_CLUSTER_TILE_UM, 150.0, self._make_clusters)

    @property
    def area(self) -> SpecimenArea:
        """The square around the disc."""
        side = 2.0 * self._radius
        return SpecimenArea(self._centre[0] - self._radius, self._centre[1] - self._radius, side, side)

    def draw(self, view: View, stack: LayerStack) -> list[SceneObject]:
        """Stamp what lies in the view; returns the truth of all its cells and clusters."""
        library = self._libraries.at(view.um_per_px)
        self._draw_film(view, stack)
        stamp_all(list(self._reds.over(view)), view, stack, library)
        objects = stamp_all(list(self._cells.over(view)), view, stack, library)
        for cluster in self._clusters.over(view):
            objects += stamp_all(cluster.members, view, stack, library)
            if view.holds(cluster.x_um, cluster.y_um):
                lift = float(view.relief_um(np.array([cluster.x_um]), np.array([cluster.y_um]))[0])
                objects.append(_truth(cluster, lift))
        return objects

    def _inside(self, x_um: NDArray[np.float64], y_um: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._radius - np.hypot(x_um - self._centre[0], y_um - self._centre[1])

    def _mixture(self, settings: SerousSettings, rng: np.random.Generator) -> tuple[list[str], NDArray[np.float64]]:
        """Kinds of single objects and how many of each there are per nucleated cell."""
        benign = {name: share * math.exp(rng.normal(0.0, 0.4)) for name, share in _BENIGN.items()}
        scale = (1.0 - settings.malignant) / sum(benign.values())
        singles = {name: share * scale for name, share in benign.items()}
        reactive = log_uniform(settings.reactive, rng) * (1.0 - settings.malignant)
        singles = {name: share * (1.0 - reactive) for name, share in singles.items()}
        self._mesothelial = singles["mesothelial"]
        singles["mesothelial"] *= 1.0 - settings.benign_clustered
        singles["reactive"] = reactive
        singles["malignant"] = settings.malignant * (1.0 - settings.clustered)
        singles |= _EXTRAS
        return list(singles), np.array(list(singles.values()))

    def _clusters_per_um2(self, settings: SerousSettings) -> dict[str, float]:
        cells = {
            "mesothelial": self._mesothelial * settings.benign_clustered,
            "malignant": settings.malignant * settings.clustered,
        }
        return {
            kind: share * self._cells_per_um2 / mean_count(_CLUSTER_WIDTH_UM[kind]) for kind, share in cells.items()
        }

    def _draw_film(self, view: View, stack: LayerStack) -> None:
        """Protein between the cells: a faint, uneven film."""
        rough = lattice_field(self._seed, _FILM, (120.0, 90.0), view.x_um, view.y_um)
        amount = np.clip(1.0 + 0.5 * rough, 0.0, None)
        stack.film(amount[:, :, None] * self._film_od)

    def _make_cells(self, i: int, j: int) -> list[Placed]:
        rng = tile_rng(self._seed, _CELLS, i, j)
        rate = self._cells_per_um2 * float(self._weights.sum())
        x, y = self._scatter(i, j, rate, rng)
        kinds = rng.choice(len(self._kinds), size=len(x), p=self._weights / self._weights.sum()).tolist()
        return self._placed([self._kinds[k] for k in kinds], x, y, rng)

    def _make_reds(self, i: int, j: int) -> list[Placed]:
        rng = tile_rng(self._seed, _REDS, i, j)
        x, y = self._scatter(i, j, self._reds_per_um2, rng)
        return self._placed(["red_cell"] * len(x), x, y, rng)

    def _scatter(
        self, i: int, j: int, per_um2: float, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Places in a tile, one at most per square of a jittered grid, thinned to the local density."""
        count = int(rng.poisson(per_um2 * _PEAK * _CELL_TILE_UM**2))
        side = max(1, math.ceil(math.sqrt(count * 1.1)))
        square = rng.permutation(side * side)[:count]
        jitter = rng.uniform(0.0, 1.0, (2, count))
        x = (j + (square % side + jitter[0]) / side) * _CELL_TILE_UM
        y = (i + (square // side + jitter[1]) / side) * _CELL_TILE_UM
        kept = rng.uniform(0.0, _PEAK, count) < self._cover.at(x, y)
        return x[kept], y[kept]

    def _placed(
        self, kinds: list[str], x: NDArray[np.float64], y: NDArray[np.float64], rng: np.random.Generator
    ) -> list[Placed]:
        draws = rng.integers(1 << 30, size=len(x)).tolist()
        turns = rng.integers(8, size=len(x)).tolist()
        heights = rng.normal(0.0, 0.35, len(x)).tolist()
        gains = np.exp(rng.normal(0.0, 0.11, len(x))).tolist()
        return [
            Placed(
                kind,
                draw % _VARIANTS[kind],
                turn,
                cx,
                cy,
                z,
                gain,
                "" if kind == "red_cell" else kind,
                kind == "malignant",
            )
            for kind, draw, turn, cx, cy, z, gain in zip(
                kinds, draws, turns, x.tolist(), y.tolist(), heights, gains, strict=True
            )
        ]

    def _make_clusters(self, i: int, j: int) -> list[Cluster]:
        rng = tile_rng(self._seed, _CLUSTERS, i, j)
        clusters = []
        for kind, rate in self._cluster_rates.items():
            count = int(rng.poisson(rate * _PEAK * _CLUSTER_TILE_UM**2))
            x = (j + rng.uniform(0.0, 1.0, count)) * _CLUSTER_TILE_UM
            y = (i + rng.uniform(0.0, 1.0, count)) * _CLUSTER_TILE_UM
            kept = rng.uniform(0.0, _PEAK, count) < self._cover.at(x, y)
            for cx, cy in zip(x[kept].tolist(), y[kept].tolist(), strict=True):
                group = int(rng.integers(1, 1 << 31))
                clusters.append(place_cluster(kind, (cx, cy), _CLUSTER_WIDTH_UM[kind], group, rng))
        return clusters


def _truth(cluster: Cluster, lift_um: float) -> SceneObject:
    return SceneObject(
        "cluster",
        cluster.malignant,
        cluster.x_um,
        cluster.y_um,
        cluster.z_um + lift_um,
        cluster.width_um,
        cluster.height_um,
    )
