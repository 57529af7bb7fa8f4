"""Sprites of a Ziehl-Neelsen sputum smear: bacilli, leucocytes, squames, and what is mistaken for bacilli."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from drivers.twin.slide.cells import sum_planes
from drivers.twin.slide.library import Painter
from drivers.twin.slide.paint import Canvas, Points, Sprite, outline, trimmed
from drivers.twin.slide.stains import Palette

_Brush = Callable[[Palette, float, np.random.Generator], Sprite]
_STEPS = 25
_FINE = 3  # bacilli are a pixel or two wide: sampled this much finer than the sprite


def bent_line(length_um: float, arc_rad: float, angle_rad: float) -> Points:
    """Points (n, 2) of an arc about the origin: of some length, turning through `arc_rad`, heading `angle_rad`."""
    along = np.linspace(-0.5, 0.5, _STEPS)
    heading = angle_rad + along * arc_rad
    steps = np.stack([np.cos(heading), np.sin(heading)], axis=1) * (length_um / (_STEPS - 1))
    line = np.cumsum(steps, axis=0)
    return np.asarray(line - line.mean(axis=0))


def _rod_density(
    line: Points, width_um: float, beading: NDArray[np.float64], side: int, pitch_um: float
) -> NDArray[np.float32]:
    """Relative density (side, side) of a round rod along a line: thickest in its middle, beaded along its length."""
    axis = (np.arange(side) - (side - 1) / 2.0) * pitch_um
    dx = axis[None, :, None] - line[:, 0]
    dy = axis[:, None, None] - line[:, 1]
    distance_sq = dx * dx + dy * dy
    nearest = distance_sq.argmin(axis=2)
    closest = np.take_along_axis(distance_sq, nearest[:, :, None], axis=2)[:, :, 0]
    chord = np.sqrt(np.clip(1.0 - closest / (width_um / 2.0) ** 2, 0.0, None))
    return np.asarray(chord * beading[nearest], dtype=np.float32)


def _bacillus(palette: Palette, um_per_px: float, rng: np.random.Generator) -> Sprite:
    """A rod of 1.7-4.4 µm by 0.3-0.6 µm, straight or bent up to 40 degrees, often beaded.

    Source of the measures: domain reference 5 and 6.2.
    """
    length = float(np.clip(2.75 * math.exp(rng.normal(0.0, 0.36)), 1.1, 6.0))
    width = float(np.clip(rng.normal(0.48, 0.07), 0.3, 0.62))
    angle = float(rng.uniform(-math.pi / 2.0, math.pi / 2.0))
    arc = math.radians(float(rng.normal(0.0, 16.0)))
    beads = int(rng.integers(2, 6)) if rng.random() < 0.5 else 0
    beading = np.ones(_STEPS)
    if beads:
        depth, phase = float(rng.uniform(0.3, 0.6)), float(rng.uniform(0.0, math.pi))
        beading -= depth * (0.5 - 0.5 * np.cos(np.linspace(0.0, 2.0 * math.pi * beads, _STEPS) + phase))
    side = 2 * math.ceil((length + 1.0) / um_per_px / 2.0) + 1
    line = bent_line(length - width, arc, angle)
    fine = _rod_density(line, width, beading, side * _FINE, um_per_px / _FINE)
    density = fine.reshape(side, _FINE, side, _FINE).mean(axis=(1, 3))
    peak = float(np.clip(0.72 * math.exp(rng.normal(0.0, 0.42)), 0.22, 1.9))
    od = density[:, :, None] * (palette["bacillus"] * np.float32(peak))
    extent = np.ptp(line, axis=0) + width
    return Sprite(trimmed(od.astype(np.float32)), float(extent[0]), float(extent[1]), width, angle)


def _leucocyte(palette: Palette, um_per_px: float, rng: np.random.Generator) -> Sprite:
    """A polymorph, often degenerate: a lobed blue nucleus of 8-10 µm in hardly stained cytoplasm."""
    size = float(rng.uniform(7.5, 10.5))
    canvas = Canvas(size * 2.4, um_per_px)
    lobes = int(rng.integers(1, 5))
    centres = rng.normal(0.0, size * 0.2, (lobes, 2)) if lobes > 1 else np.zeros((1, 2))
    radius = size * 0.62 / math.sqrt(lobes + 0.6)
    shapes = [
        outline(
            radius * float(rng.uniform(0.8, 1.2)),
            rng,
            irregular=0.08,
            aspect=float(rng.uniform(1.0, 1.7)),
            angle_rad=float(rng.uniform(0.0, math.pi)),
        )
        + centre
        for centre in centres
    ]
    nucleus = canvas.fill(*shapes, soft_um=float(rng.uniform(0.25, 0.7)))
    texture = np.clip(1.0 + 0.14 * canvas.grain(1.8, rng), 0.3, 1.8)
    body = canvas.fill(outline(size * 0.68, rng, irregular=0.12), soft_um=0.6)
    planes = {
        "nucleus": nucleus * texture * np.float32(rng.uniform(0.6, 1.5)),
        "cytoplasm": body * np.clip(1.0 + 0.4 * canvas.grain(1.5, rng), 0.0, 2.0) * np.float32(rng.uniform(0.02, 0.2)),
    }
    return Sprite(trimmed(sum_planes(planes, palette, canvas)), size, size, 2.5)


def _smear(palette: Palette, um_per_px: float, rng: np.random.Generator) -> Sprite:
    """A crushed nucleus, drawn out into a blue streak."""
    size = float(rng.uniform(8.0, 22.0))
    canvas = Canvas(size * 2.2, um_per_px)
    shape = outline(
        size / 2.4, rng, irregular=0.16, aspect=float(rng.uniform(1.8, 4.5)), angle_rad=float(rng.normal(0.0, 0.5))
    )
    streak = canvas.fill(shape, soft_um=0.8) * np.clip(0.8 + 0.4 * canvas.grain(2.2, rng), 0.05, 2.0)
    planes = {"nucleus": streak * np.float32(rng.uniform(0.15, 0.7))}
    extent = np.ptp(shape, axis=0)
    return Sprite(trimmed(sum_planes(planes, palette, canvas)), float(extent[0]), float(extent[1]), 2.0)


def _squame(palette: Palette, um_per_px: float, rng: np.random.Generator) -> Sprite:
    """A squamous cell: a pale, angular, folded sheet of 40-60 µm with a small nucleus and a bright edge."""
    size = float(rng.uniform(38.0, 60.0))
    canvas = Canvas(size * 1.45, um_per_px)
    shape = outline(
        size / 2.0,
        rng,
        irregular=0.12,
        smoothness=1.0,
        aspect=float(rng.uniform(1.0, 1.4)),
        angle_rad=float(rng.uniform(0.0, math.pi)),
    )
    sheet = canvas.fill(shape, soft_um=0.3)
    folds = np.clip(canvas.grain(9.0, rng) - 1.2, 0.0, None) * 0.8
    density = sheet * (1.0 + 0.12 * canvas.grain(1.2, rng) + 0.18 * canvas.grain(6.0, rng) + folds)
    density -= 1.1 * np.clip(canvas.blur(sheet, 0.9) * (1.0 - sheet), 0.0, 0.25)
    nucleus = canvas.fill(outline(4.2, rng, irregular=0.05, aspect=1.3), soft_um=0.5)
    planes = {
        "squame": density * np.float32(rng.uniform(0.12, 0.28)),
        "nucleus": nucleus * np.clip(1.0 + 0.2 * canvas.grain(1.2, rng), 0.2, 2.0) * np.float32(rng.uniform(0.1, 0.7)),
    }
    extent = np.ptp(shape, axis=0)
    return Sprite(trimmed(sum_planes(planes, palette, canvas)), float(extent[0]), float(extent[1]), 2.0)


def _speckle(palette: Palette, um_per_px: float, rng: np.random.Generator) -> Sprite:
    """A patch of fine blue-grey crumbs and cocci, as it lies everywhere in a smear."""
    canvas = Canvas(44.0, um_per_px)
    planes = {}
    for dye, share in (("nucleus", 0.7), ("grey", 0.3)):
        density = canvas.blank()
        for _ in range(3):
            count = int(rng.integers(1, 7) * share + 1)
            centres = rng.uniform(-19.0, 19.0, (count, 2))
            radii = np.clip(0.34 * np.exp(rng.normal(0.0, 0.45, count)), 0.18, 0.9)
            density += canvas.spots(centres, radii, soft_um=0.22) * np.float32(0.22 * math.exp(rng.normal(0.0, 0.6)))
        planes[dye] = density
    return Sprite(trimmed(sum_planes(planes, palette, canvas)), 40.0, 40.0, 1.0)


def _smudge(palette: Palette, um_per_px: float, rng: np.random.Generator) -> Sprite:
    """A pale crumbly remnant of a cell, 4-16 µm."""
    size = float(rng.uniform(4.0, 16.0))
    canvas = Canvas(size * 2.0, um_per_px)
    shape = outline(
        size / 2.0, rng, irregular=0.22, aspect=float(rng.uniform(1.0, 1.9)), angle_rad=float(rng.uniform(0.0, math.pi))
    )
    patchy = np.clip(0.55 + 0.6 * canvas.grain(1.6, rng), 0.0, 2.0)
    planes = {"nucleus": canvas.fill(shape, soft_um=0.8) * patchy * np.float32(rng.uniform(0.06, 0.4))}
    extent = np.ptp(shape, axis=0)
    return Sprite(trimmed(sum_planes(planes, palette, canvas)), float(extent[0]), float(extent[1]), 1.5)


def _precipitate(palette: Palette, um_per_px: float, rng: np.random.Generator) -> Sprite:
    """Undissolved fuchsin: round dark red grains, alone or in a heap."""
    count = int(rng.integers(1, 7))
    canvas = Canvas(9.0, um_per_px)
    centres = rng.normal(0.0, 1.0, (count, 2)) if count > 1 else np.zeros((1, 2))
    radii = np.clip(0.5 * np.exp(rng.normal(0.0, 0.45, count)), 0.22, 1.6)
    planes = {"precipitate": canvas.spots(centres, radii, soft_um=0.12) * np.float32(rng.uniform(0.5, 1.8))}
    size = float(np.ptp(centres, axis=0).max() + 2.0 * radii.max())
    return Sprite(trimmed(sum_planes(planes, palette, canvas)), size, size, 1.0)


def _crystal(palette: Palette, um_per_px: float, rng: np.random.Generator) -> Sprite:
    """A dark angular grain or needle."""
    length = float(rng.uniform(1.2, 7.0))
    canvas = Canvas(length * 1.8 + 2.0, um_per_px)
    corners = int(rng.integers(3, 7))
    theta = np.sort(rng.uniform(0.0, 2.0 * math.pi, corners))
    shape = np.stack([np.cos(theta) * length / 2.0, np.sin(theta) * length / 2.0 * rng.uniform(0.15, 0.9)], axis=1)
    turn = float(rng.uniform(0.0, math.pi))
    shape = shape @ np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    dye = "grey" if rng.random() < 0.6 else "precipitate"
    planes = {dye: canvas.fill(shape, soft_um=0.15) * np.float32(rng.uniform(0.6, 2.0))}
    return Sprite(trimmed(sum_planes(planes, palette, canvas)), length, length, 1.5)


def _fibre(palette: Palette, um_per_px: float, rng: np.random.Generator) -> Sprite:
    """A red filament or scratch of dye, longer than any bacillus: 8-45 µm by 0.5-1.6 µm."""
    length = float(np.clip(14.0 * math.exp(rng.normal(0.0, 0.5)), 7.0, 45.0))
    canvas = Canvas(length * 1.2 + 3.0, um_per_px)
    angle = float(rng.uniform(-math.pi / 2.0, math.pi / 2.0))
    line = bent_line(length, float(rng.normal(0.0, 0.7)), angle)
    line = line + np.cumsum(rng.normal(0.0, 0.08, line.shape), axis=0)
    uneven = np.clip(0.8 + 0.45 * canvas.grain(2.5, rng), 0.1, 2.0)
    planes = {
        "bacillus": canvas.stroke(line, float(rng.uniform(0.5, 1.6)), 0.15)
        * uneven
        * np.float32(rng.uniform(0.15, 0.6))
    }
    extent = np.ptp(line, axis=0) + 1.0
    return Sprite(trimmed(sum_planes(planes, palette, canvas)), float(extent[0]), float(extent[1]), 1.0, angle)


def _blue_rod(palette: Palette, um_per_px: float, rng: np.random.Generator) -> Sprite:
    """Other bacteria, blue: short rods or a chain of cocci."""
    canvas = Canvas(8.0, um_per_px)
    count = int(rng.integers(2, 7))
    line = bent_line(float(rng.uniform(1.2, 5.0)), float(rng.normal(0.0, 0.6)), float(rng.uniform(0.0, math.pi)))
    centres = line[np.linspace(0, _STEPS - 1, count).astype(int)]
    chain = canvas.spots(centres, np.full(count, float(rng.uniform(0.3, 0.45))), soft_um=0.12)
    rod = canvas.stroke(line, float(rng.uniform(0.4, 0.8)), 0.12)
    planes = {"nucleus": (rod if rng.random() < 0.5 else chain) * np.float32(rng.uniform(0.25, 0.8))}
    extent = np.ptp(line, axis=0) + 0.7
    return Sprite(trimmed(sum_planes(planes, palette, canvas)), float(extent[0]), float(extent[1]), 0.8)


def _pink_fold(palette: Palette, um_per_px: float, rng: np.random.Generator) -> Sprite:
    """Mucus that kept some fuchsin: a soft pink streak, the colour of a bacillus without its shape."""
    size = float(rng.uniform(6.0, 30.0))
    canvas = Canvas(size * 1.8, um_per_px)
    shape = outline(
        size / 2.6, rng, irregular=0.2, aspect=float(rng.uniform(1.5, 4.0)), angle_rad=float(rng.normal(0.0, 0.6))
    )
    streak = canvas.fill(shape, soft_um=float(rng.uniform(0.6, 2.0)))
    planes = {
        "bacillus": streak * np.clip(0.7 + 0.5 * canvas.grain(1.5, rng), 0.0, 2.0) * np.float32(rng.uniform(0.04, 0.25))
    }
    extent = np.ptp(shape, axis=0)
    return Sprite(trimmed(sum_planes(planes, palette, canvas)), float(extent[0]), float(extent[1]), 2.0)


_BRUSHES: dict[str, _Brush] = {
    "afb": _bacillus,
    "leucocyte": _leucocyte,
    "smear": _smear,
    "squame": _squame,
    "speckle": _speckle,
    "smudge": _smudge,
    "precipitate": _precipitate,
    "crystal": _crystal,
    "red_fibre": _fibre,
    "blue_rod": _blue_rod,
    "pink_fold": _pink_fold,
}


def sputum_painter(palette: Palette) -> Painter:
    """The painter of one smear; kinds are those named here."""

    def paint(kind: str, um_per_px: float, rng: np.random.Generator) -> Sprite:
        return _BRUSHES[kind](palette, um_per_px, rng)

    return paint
