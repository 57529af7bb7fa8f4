"""Stains as optical-density vectors, and how they differ from slide to slide."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from drivers.twin.slide.settings import Stain

Vector = NDArray[np.float32]
Palette = Mapping[str, Vector]

# Optical density in R, G, B, unit length. Source: domain reference 5, measured on real Papanicolaou, Romanowsky and
# Ziehl-Neelsen pictures; methylene blue and eosin after Ruifrok and Johnston, 2001. Mixtures are this project's.
_PAP = {
    "nucleus": (0.631, 0.668, 0.380),
    "nucleolus": (0.48, 0.78, 0.40),
    "cytoplasm": (0.796, 0.475, 0.345),
    "cytoplasm_warm": (0.321, 0.648, 0.680),
    "granule": (0.20, 0.62, 0.76),
    "red_cell": (0.22, 0.62, 0.75),
    "grey": (0.60, 0.58, 0.55),
    "film": (0.60, 0.60, 0.52),
}
_LIU = {
    "nucleus": (0.486, 0.852, 0.196),
    "nucleolus": (0.62, 0.75, 0.20),
    "cytoplasm": (0.72, 0.65, 0.24),
    "cytoplasm_warm": (0.552, 0.793, 0.258),
    "granule": (0.20, 0.74, 0.64),
    "red_cell": (0.22, 0.70, 0.68),
    "grey": (0.58, 0.62, 0.52),
    "film": (0.50, 0.72, 0.40),
}
_ZN = {
    "bacillus": (0.414, 0.803, 0.428),
    "nucleus": (0.750, 0.553, 0.362),
    "cytoplasm": (0.76, 0.54, 0.36),
    "film": (0.74, 0.55, 0.38),
    "precipitate": (0.45, 0.72, 0.53),
    "squame": (0.46, 0.66, 0.60),
    "grey": (0.60, 0.58, 0.55),
}
_PALETTES = {Stain.PAP: _PAP, Stain.LIU: _LIU}


def _turned(vector: tuple[float, float, float], angle_deg: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """A unit vector turned by an angle towards a random side, kept in the positive octant."""
    unit = np.asarray(vector) / np.linalg.norm(vector)
    side = rng.standard_normal(3)
    side -= side @ unit * unit
    side /= np.linalg.norm(side)
    turned = unit * math.cos(math.radians(angle_deg)) + side * math.sin(math.radians(angle_deg))
    turned = np.clip(turned, 0.02, None)
    return np.asarray(turned / np.linalg.norm(turned))


def draw_palette(
    stain: Stain | None, od_sigma: float, hue_jitter_deg: float, rng: np.random.Generator
) -> dict[str, Vector]:
    """The stain vectors of one slide, scaled by its strength; stain None is Ziehl-Neelsen.

    Strength is log-normal; each dye adds a little of its own. Hues turn by about `hue_jitter_deg`.
    """
    base = _ZN if stain is None else _PALETTES[stain]
    strength = math.exp(rng.normal(0.0, od_sigma))
    palette = {}
    for name, vector in base.items():
        own = math.exp(rng.normal(0.0, od_sigma / 3.0))
        angle = rng.normal(hue_jitter_deg, hue_jitter_deg / 4.0) if hue_jitter_deg > 0.0 else 0.0
        palette[name] = (_turned(vector, angle, rng) * strength * own).astype(np.float32)
    return palette


def draw_illumination(stain: Stain | None, rng: np.random.Generator) -> tuple[float, float, float]:
    """Relative R, G, B of a clear place; stain None is Ziehl-Neelsen, whose light runs from greenish to pinkish.

    Source: domain reference 5, range of Ziehl-Neelsen backgrounds.
    """
    if stain is None:
        share = float(rng.beta(1.0, 1.6))
        base = (1.0 - share) * np.array([170.0, 180.0, 142.0]) + share * np.array([226.0, 199.0, 176.0])
    else:
        base = np.array([222.0, 224.0, 214.0] if stain is Stain.PAP else [220.0, 216.0, 214.0])
    rgb = base * np.exp(rng.normal(0.0, 0.03, 3))
    red, green, blue = (rgb / rgb.max()).tolist()
    return (red, green, blue)
