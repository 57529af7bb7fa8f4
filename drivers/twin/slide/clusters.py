"""Three-dimensional clusters: balls of cells at many depths, benign or malignant by the same rules."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.twin.slide.placing import FACE_UM, Placed

DEPTH_UM = (15.0, 40.0)
WIDTH_UM = (30.0, 150.0)
MEMBER_VARIANTS = 240
_CELL_UM = 5.0
_FOOTPRINT_UM2 = 150.0  # of one cell; where cells lie over one another each is paler, as packed cells are


def draw_size(median_um: float, rng: np.random.Generator) -> tuple[float, float, int]:
    """Width, depth and number of cells of a ball; a median width that overlaps between benign and malignant."""
    width = float(np.clip(median_um * math.exp(rng.normal(0.0, 0.42)), *WIDTH_UM))
    depth = float(np.clip(width * rng.uniform(0.3, 0.8), *DEPTH_UM))
    volume = math.pi / 6.0 * width * width * depth
    count = int(np.clip(volume / 1_500.0 * rng.uniform(0.7, 1.2), 4, 120))
    return width, depth, count


def mean_count(median_um: float) -> float:
    """Mean number of cells of a ball of a median width (by a fixed sample)."""
    rng = np.random.default_rng(7)
    return float(np.mean([draw_size(median_um, rng)[2] for _ in range(400)]))


def _positions(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Points (count, 3) in the unit ball, denser towards its shell, kept apart by best-candidate choice."""
    points = np.zeros((0, 3))
    for _ in range(count):
        tries = rng.standard_normal((6, 3))
        tries *= (rng.uniform(0.15, 1.0, (6, 1)) ** 0.45) / np.linalg.norm(tries, axis=1, keepdims=True)
        if len(points) == 0:
            points = tries[:1]
            continue
        gaps = np.linalg.norm(tries[:, None] - points[None], axis=2).min(axis=1)
        points = np.concatenate([points, tries[int(gaps.argmax())][None]])
    return points


@dataclass(frozen=True)
class Cluster:
    """A ball of cells: its box and depth in µm, the height of its middle, and its members."""

    x_um: float
    y_um: float
    z_um: float
    width_um: float
    height_um: float
    depth_um: float
    malignant: bool
    members: list[Placed]


def place_cluster(
    kind: str, centre_um: tuple[float, float], median_um: float, group: int, rng: np.random.Generator
) -> Cluster:
    """One ball resting on the glass and reaching towards the objective (smaller z); kind: of its cells."""
    x_um, y_um = centre_um
    width, depth, count = draw_size(median_um, rng)
    aspect = math.sqrt(float(rng.uniform(1.0, 1.6)))
    angle = float(rng.uniform(0.0, math.pi))
    ball = _positions(count, rng)
    reach = max(2.0, width / 2.0 - 6.0)
    dx, dy = ball[:, 0] * reach * aspect, ball[:, 1] * reach / aspect
    x = x_um + dx * math.cos(angle) - dy * math.sin(angle)
    y = y_um + dx * math.sin(angle) + dy * math.cos(angle)
    top, bottom = float(ball[:, 2].max()), float(ball[:, 2].min())
    z = (ball[:, 2] - top) / max(1e-6, top - bottom) * (depth - _CELL_UM)
    overlap = count * _FOOTPRINT_UM2 / (math.pi / 4.0 * width * width)
    gain = min(0.9, overlap**-0.9)
    variants = rng.integers(MEMBER_VARIANTS, size=count).tolist()
    turns = rng.integers(8, size=count).tolist()
    malignant = kind == "malignant"
    places = zip(variants, turns, x.tolist(), y.tolist(), z.tolist(), strict=True)
    members = [
        Placed(f"{kind}_crowded", variant, turn, cx, cy, cz, gain, kind, malignant, group)
        for variant, turn, cx, cy, cz in places
    ]
    box = float(np.ptp(x)) + 2.0 * _CELL_UM, float(np.ptp(y)) + 2.0 * _CELL_UM
    return Cluster(x_um, y_um, FACE_UM - depth / 2.0, *box, depth, malignant, members)
