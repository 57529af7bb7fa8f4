"""Sprites of a serous slide: every nucleated cell by one painter, red cells, and what is no cell."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from drivers.twin.slide.cells import paint_cell, sum_planes
from drivers.twin.slide.library import Painter
from drivers.twin.slide.paint import Canvas, Sprite, outline, trimmed
from drivers.twin.slide.settings import Stain
from drivers.twin.slide.stains import Palette
from drivers.twin.slide.traits import draw_traits

_Brush = Callable[[Palette, float, np.random.Generator], Sprite]


def _red_cell(palette: Palette, um_per_px: float, rng: np.random.Generator) -> Sprite:
    """A biconcave disc with a pale middle; some are ghosts. Diameter 6.2-8.2 µm."""
    diameter = float(np.clip(rng.normal(7.3, 0.45), 6.0, 8.6))
    canvas = Canvas(diameter * 1.4, um_per_px)
    contour = outline(
        diameter / 2.0,
        rng,
        irregular=0.025,
        aspect=1.0 + abs(rng.normal(0.0, 0.06)),
        angle_rad=float(rng.uniform(0.0, math.pi)),
    )
    disc = canvas.fill(contour, soft_um=0.18)
    pallor = canvas.fill(contour * float(rng.uniform(0.42, 0.6)), soft_um=0.7)
    ghost = 0.35 if rng.random() < 0.12 else 1.0
    rim = disc * np.clip(1.0 - canvas.blur(disc, 0.4), 0.0, 0.5)
    density = disc * (1.0 - float(rng.uniform(0.25, 0.6)) * pallor) + 0.3 * rim
    planes = {"red_cell": density * np.float32(0.20 * ghost * math.exp(rng.normal(0.0, 0.12)))}
    extent = np.ptp(contour, axis=0)
    return Sprite(trimmed(sum_planes(planes, palette, canvas)), float(extent[0]), float(extent[1]), 1.5)


def _debris(palette: Palette, um_per_px: float, rng: np.random.Generator) -> Sprite:
    """A shapeless crumb of dye and protein, 2-18 µm."""
    size = float(np.clip(4.0 * math.exp(rng.normal(0.0, 0.6)), 1.5, 18.0))
    canvas = Canvas(size * 2.2, um_per_px)
    contour = outline(
        size / 2.0,
        rng,
        irregular=0.25,
        smoothness=0.9,
        aspect=float(rng.uniform(1.0, 2.2)),
        angle_rad=float(rng.uniform(0.0, math.pi)),
    )
    lump = canvas.fill(contour, soft_um=0.35)
    density = lump * np.clip(0.8 + 0.5 * canvas.grain(1.2, rng), 0.1, 2.0) * np.float32(rng.uniform(0.1, 0.5))
    share = float(rng.uniform(0.0, 1.0))
    planes = {"grey": density * np.float32(share), "nucleus": density * np.float32(1.0 - share)}
    extent = np.ptp(contour, axis=0)
    return Sprite(trimmed(sum_planes(planes, palette, canvas)), float(extent[0]), float(extent[1]), 2.0)


def _naked(palette: Palette, um_per_px: float, rng: np.random.Generator) -> Sprite:
    """A smudged nucleus without cytoplasm: a degenerate cell."""
    size = float(rng.uniform(7.0, 14.0))
    canvas = Canvas(size * 2.0, um_per_px)
    contour = outline(
        size / 2.0, rng, irregular=0.09, aspect=float(rng.uniform(1.0, 1.6)), angle_rad=float(rng.uniform(0.0, math.pi))
    )
    smear = canvas.fill(contour, soft_um=float(rng.uniform(0.4, 1.0)))
    density = smear * np.clip(0.9 + 0.25 * canvas.grain(1.8, rng), 0.1, 2.0)
    planes = {"nucleus": density * np.float32(rng.uniform(0.25, 0.7))}
    extent = np.ptp(contour, axis=0)
    return Sprite(trimmed(sum_planes(planes, palette, canvas)), float(extent[0]), float(extent[1]), 2.5)


def _fibrin(palette: Palette, um_per_px: float, rng: np.random.Generator) -> Sprite:
    """A tangle of thin pale strands."""
    size = float(rng.uniform(25.0, 70.0))
    canvas = Canvas(size * 1.2, um_per_px)
    density = canvas.blank()
    for _ in range(int(rng.integers(2, 6))):
        steps = rng.normal(0.0, 0.35, 14).cumsum() + float(rng.uniform(0.0, math.pi))
        line = np.stack([np.cos(steps), np.sin(steps)], axis=1).cumsum(axis=0)
        line = (line - line.mean(axis=0)) * (size / 16.0)
        density += canvas.stroke(line, float(rng.uniform(0.4, 1.2)), 0.25) * np.float32(rng.uniform(0.05, 0.16))
    planes = {"film": density}
    return Sprite(trimmed(sum_planes(planes, palette, canvas)), size, size, 4.0)


def _precipitate(palette: Palette, um_per_px: float, rng: np.random.Generator) -> Sprite:
    """Dark grains of undissolved dye, 0.5-3 µm, alone or in a small heap."""
    count = int(rng.integers(1, 12))
    canvas = Canvas(16.0, um_per_px)
    centres = rng.normal(0.0, 1.8, (count, 2))
    radii = np.clip(0.45 * np.exp(rng.normal(0.0, 0.5, count)), 0.2, 1.6)
    planes = {"nucleus": canvas.spots(centres, radii, soft_um=0.12) * np.float32(rng.uniform(0.8, 1.6))}
    extent = np.ptp(centres, axis=0) + 1.0
    return Sprite(trimmed(sum_planes(planes, palette, canvas)), float(extent[0]), float(extent[1]), 1.0)


_BRUSHES: dict[str, _Brush] = {
    "red_cell": _red_cell,
    "debris": _debris,
    "naked_nucleus": _naked,
    "fibrin": _fibrin,
    "precipitate": _precipitate,
}


@dataclass(frozen=True)
class Preparation:
    """How a slide was made: air drying swells cells (linear factor), and layers differ in thickness."""

    swelling: float = 1.0
    thickness: float = 1.0


def draw_preparation(stain: Stain, rng: np.random.Generator) -> Preparation:
    """Romanowsky slides are air-dried and swell by up to a quarter, Papanicolaou slides are fixed wet and do not."""
    swelling = (
        float(rng.uniform(1.0, 1.25)) if stain is Stain.LIU else float(np.clip(rng.normal(1.0, 0.03), 0.92, 1.08))
    )
    return Preparation(swelling, math.exp(rng.normal(0.0, 0.15)) / swelling)


def serous_painter(palette: Palette, preparation: Preparation) -> Painter:
    """The painter of a slide stained with a palette; kinds are those of `traits` and those named here."""

    def paint(kind: str, um_per_px: float, rng: np.random.Generator) -> Sprite:
        brush = _BRUSHES.get(kind)
        if brush is not None:
            return brush(palette, um_per_px, rng)
        cell = paint_cell(draw_traits(kind, rng), palette, um_per_px / preparation.swelling, rng)
        return replace(
            cell,
            width_um=cell.width_um * preparation.swelling,
            height_um=cell.height_um * preparation.swelling,
            thickness_um=cell.thickness_um * preparation.thickness,
        )

    return paint
