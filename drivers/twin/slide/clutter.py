"""What gets onto every slide: dust in focus, dust on the far side of the glass, bubbles and ink."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.twin.slide.hashing import lattice_field, tile_rng
from drivers.twin.slide.library import Libraries
from drivers.twin.slide.paint import Canvas, Sprite, outline, trimmed
from drivers.twin.slide.placing import Placed, Tiles, stamp_all
from drivers.twin.slide.scene import SceneObject
from drivers.twin.slide.settings import ClutterSettings
from drivers.twin.slide.view import LayerStack, View

_TILE_UM = 1_000.0
_DUST, _ROUND, _INK = 31, 32, 33  # random streams
_VARIANTS = {"dust": 16, "lint": 8}
_GREY = np.array([0.58, 0.58, 0.57], np.float32)
_SHADOW_SIGMA_UM = 190.0  # a point 1 mm of glass away, seen at NA 0.5: a disc of some 0.76 mm
_INKS = {
    "blue": (0.92, 0.62, 0.22),
    "black": (0.58, 0.58, 0.57),
    "red": (0.12, 0.75, 0.65),
    "green": (0.85, 0.25, 0.60),
}


@dataclass(frozen=True)
class Round:
    """A round thing drawn by formula: kind "shadow", "bubble" or "ink"; strength is its optical density."""

    kind: str
    x_um: float
    y_um: float
    z_um: float
    radius_um: float
    strength: float
    ink: str
    seed: int


def _paint(kind: str, um_per_px: float, rng: np.random.Generator) -> Sprite:
    """A dark speck of 1-20 µm, or a lint fibre."""
    if kind == "lint":
        length = float(rng.uniform(30.0, 120.0))
        canvas = Canvas(length * 1.2, um_per_px)
        turns = rng.normal(0.0, 0.25, 24).cumsum() + float(rng.uniform(0.0, math.pi))
        line = np.stack([np.cos(turns), np.sin(turns)], axis=1).cumsum(axis=0) * length / 26.0
        amount = canvas.stroke(line - line.mean(axis=0), float(rng.uniform(2.0, 6.0)), 0.6)
        size = length
    else:
        size = float(np.clip(4.0 * math.exp(rng.normal(0.0, 0.7)), 1.0, 20.0))
        canvas = Canvas(size * 2.0 + 1.0, um_per_px)
        amount = canvas.fill(outline(size / 2.0, rng, irregular=0.15, aspect=float(rng.uniform(1.0, 1.8))), soft_um=0.2)
    od = canvas.finish(amount[:, :, None])[:, :, :1] * (_GREY * np.float32(rng.uniform(0.5, 2.2)))
    return Sprite(trimmed(od), size, size, min(size, 5.0))


class ClutterPart:
    """Dust, bubbles and ink anywhere on the glass."""

    def __init__(self, settings: ClutterSettings, seed: int) -> None:
        self._seed = seed
        self._settings = settings
        self._libraries = Libraries(seed, _paint)
        self._dust = Tiles(_TILE_UM, 70.0, self._make_dust)
        self._rounds = Tiles(_TILE_UM, 1_100.0, self._make_rounds)

    def draw(self, view: View, stack: LayerStack) -> list[SceneObject]:
        """Stamp what lies in the view; dust in focus is listed, shadows are not."""
        for item in self._rounds.over(view):
            draw_round(item, view, stack)
        return stamp_all(list(self._dust.over(view)), view, stack, self._libraries.at(view.um_per_px))

    def _make_dust(self, i: int, j: int) -> list[Placed]:
        rng = tile_rng(self._seed, _DUST, i, j)
        count = int(rng.poisson(self._settings.dust_per_mm2 * (_TILE_UM * 1e-3) ** 2))
        placed = []
        for _ in range(count):
            kind = "lint" if rng.random() < 0.12 else "dust"
            x, y = ((np.array([j, i]) + rng.uniform(0.0, 1.0, 2)) * _TILE_UM).tolist()
            variant, turn = int(rng.integers(_VARIANTS[kind])), int(rng.integers(8))
            placed.append(Placed(kind, variant, turn, x, y, float(rng.normal(-1.0, 2.0)), 1.0, "dust"))
        return placed

    def _make_rounds(self, i: int, j: int) -> list[Round]:
        rng = tile_rng(self._seed, _ROUND, i, j)
        area_mm2 = (_TILE_UM * 1e-3) ** 2
        rates = {
            "shadow": self._settings.back_dust_per_mm2,
            "bubble": self._settings.bubbles_per_cm2 / 100.0,
            "ink": self._settings.ink_marks_per_cm2 / 100.0,
        }
        found = []
        for kind, per_mm2 in rates.items():
            for _ in range(int(rng.poisson(per_mm2 * area_mm2))):
                x, y = ((np.array([j, i]) + rng.uniform(0.0, 1.0, 2)) * _TILE_UM).tolist()
                found.append(_draw_round_traits(kind, x, y, rng))
        return found


def _draw_round_traits(kind: str, x_um: float, y_um: float, rng: np.random.Generator) -> Round:
    radius = {"shadow": (150.0, 230.0), "bubble": (25.0, 250.0), "ink": (120.0, 700.0)}[kind]
    strength = {"shadow": (0.004, 0.03), "bubble": (0.4, 1.0), "ink": (1.2, 2.8)}[kind]
    return Round(
        kind,
        x_um,
        y_um,
        float(rng.uniform(-20.0, -4.0)) if kind == "bubble" else 0.0,
        float(math.exp(rng.uniform(math.log(radius[0]), math.log(radius[1])))),
        float(rng.uniform(*strength)),
        str(rng.choice(list(_INKS))),
        int(rng.integers(1 << 31)),
    )


def draw_round(item: Round, view: View, stack: LayerStack) -> None:
    """Draw one round thing into the part of the view that it reaches."""
    reach = item.radius_um * {"shadow": 4.0, "bubble": 1.1, "ink": 1.5}[item.kind]
    rows = np.flatnonzero(np.abs(view.y_um - item.y_um) <= reach)
    cols = np.flatnonzero(np.abs(view.x_um - item.x_um) <= reach)
    if rows.size == 0 or cols.size == 0:
        return
    x, y = view.x_um[cols], view.y_um[rows]
    dx, dy = x - item.x_um, y - item.y_um
    if item.kind == "shadow":
        across, down = (np.exp(-0.5 * (d / item.radius_um) ** 2) for d in (dx, dy))
        od = np.outer(down, across)[:, :, None].astype(np.float32) * (_GREY * np.float32(item.strength))
    elif item.kind == "bubble":
        od = _bubble(item, np.hypot(dx[None, :], dy[:, None]))
    else:
        od = ink_od(item, np.hypot(dx[None, :], dy[:, None]), x, y)
    stack.stamp(od, int(rows[0]), int(cols[0]), item.z_um, group=item.seed or 1)


def _bubble(item: Round, distance_um: NDArray[np.float64]) -> NDArray[np.float32]:
    """A dark rim that thickens with the bubble, and a faint ring inside it."""
    width = 1.5 + 0.06 * item.radius_um
    inner = (item.radius_um - distance_um) / width
    rim = np.where(inner > 0.0, np.exp(-inner) * np.clip(inner * 6.0, 0.0, 1.0), 0.0)
    ring = 0.15 * np.exp(-0.5 * ((item.radius_um * 0.8 - distance_um) / width) ** 2)
    vector = _GREY * np.float32(item.strength / 0.58)
    return np.asarray((rim + ring).astype(np.float32)[:, :, None] * vector, dtype=np.float32)


def ink_od(
    item: Round, distance_um: NDArray[np.float64], x_um: NDArray[np.float64], y_um: NDArray[np.float64]
) -> NDArray[np.float32]:
    """A blot with a ragged, slightly darker edge and streaks inside."""
    scale = item.radius_um / 4.0
    ragged = 0.16 * lattice_field(item.seed, _INK, (scale, scale), x_um, y_um)
    ragged += 0.02 * lattice_field(item.seed, _INK + 1, (6.0, 6.0), x_um, y_um)
    depth_um = item.radius_um * (1.0 + ragged) - distance_um
    streaks = 1.0 + 0.15 * lattice_field(item.seed, _INK + 2, (90.0, 8.0), x_um, y_um)
    body = np.clip(depth_um / 2.5, 0.0, 1.0) * (1.0 + 0.3 * np.exp(-np.clip(depth_um, 0.0, None) / 12.0))
    vector = np.array(_INKS[item.ink], np.float32) * np.float32(item.strength)
    return np.asarray((body * streaks).astype(np.float32)[:, :, None] * vector, dtype=np.float32)
