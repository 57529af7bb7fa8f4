"""What a cell looks like, as numbers: one description for every nucleated cell, benign or malignant.

Kinds differ only in how these numbers are distributed, and the distributions overlap. Nothing here names a colour,
a brightness or a depth by class: a network can tell a malignant cell only by what a cytologist looks at.
Source of sizes: domain reference 6.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CellTraits:
    """Numbers from which one cell is painted; lengths in µm, the rest relative.

    offset: how far the nucleus is pushed from the middle to the edge. irregular: bumps of the nuclear membrane.
    clearing: strength of coarse chromatin clumping. lobes: segments of a granulocyte's nucleus (0: one body).
    foam: strength of fine vacuoles. lacy: how much the cytoplasm thins out towards its edge.
    warm: share of the second cytoplasm dye. granules: coloured grains in the cytoplasm.
    """

    cell_um: float
    nucleus_um: float
    cell_aspect: float = 1.1
    cell_irregular: float = 0.04
    nuclei: int = 1
    lobes: int = 0
    nucleus_aspect: float = 1.1
    indent: float = 0.0
    offset: float = 0.1
    irregular: float = 0.03
    grain_um: float = 0.6
    clearing: float = 0.25
    nucleoli: int = 0
    nucleolus_um: float = 1.0
    nucleolus_irregular: float = 0.1
    cytoplasm: float = 0.22
    lacy: float = 0.5
    warm: float = 0.3
    foam: float = 0.0
    vacuoles: int = 0
    vacuole_um: float = 3.0
    granules: float = 0.0
    thickness_um: float = 4.0


@dataclass(frozen=True)
class Shift:
    """Where the distributions of the large cells (mesothelial, reactive, malignant) lie: mean and spread.

    ratio: nuclear over cell diameter. Log-normal spreads are given as relative numbers.
    """

    nucleus_um: tuple[float, float]
    ratio: tuple[float, float]
    irregular: tuple[float, float]
    grain_um: tuple[float, float]
    clearing: tuple[float, float]
    offset: tuple[float, float]
    nucleoli: float
    nucleolus_um: tuple[float, float]
    nucleolus_irregular: float
    binucleate: float
    vacuolated: float


SHIFTS = {
    "mesothelial": Shift(
        nucleus_um=(8.6, 0.13),
        ratio=(0.44, 0.13),
        irregular=(0.030, 0.40),
        grain_um=(0.65, 0.22),
        clearing=(0.26, 0.25),
        offset=(0.12, 0.6),
        nucleoli=0.4,
        nucleolus_um=(1.0, 0.25),
        nucleolus_irregular=0.04,
        binucleate=0.14,
        vacuolated=0.08,
    ),
    "reactive": Shift(
        nucleus_um=(11.3, 0.16),
        ratio=(0.50, 0.14),
        irregular=(0.040, 0.42),
        grain_um=(0.80, 0.25),
        clearing=(0.33, 0.28),
        offset=(0.18, 0.6),
        nucleoli=1.1,
        nucleolus_um=(1.5, 0.28),
        nucleolus_irregular=0.066,
        binucleate=0.25,
        vacuolated=0.12,
    ),
    "malignant": Shift(
        nucleus_um=(13.8, 0.22),
        ratio=(0.66, 0.14),
        irregular=(0.066, 0.42),
        grain_um=(1.02, 0.28),
        clearing=(0.43, 0.30),
        offset=(0.34, 0.6),
        nucleoli=1.5,
        nucleolus_um=(2.4, 0.32),
        nucleolus_irregular=0.588,
        binucleate=0.10,
        vacuolated=0.25,
    ),
}


def _around(mean_spread: tuple[float, float], rng: np.random.Generator, low: float, high: float) -> float:
    """A log-normal draw about a median, kept within bounds."""
    mean, spread = mean_spread
    return float(np.clip(mean * np.exp(rng.normal(0.0, spread)), low, high))


def large_cell(shift: Shift, rng: np.random.Generator, *, crowded: bool = False) -> CellTraits:
    """Traits of a mesothelial, reactive or malignant cell; crowded: as it lies in a cluster, with less cytoplasm."""
    nucleus = _around(shift.nucleus_um, rng, 6.5, 25.0) * (0.9 if crowded else 1.0)
    ratio = _around(shift.ratio, rng, 0.28, 0.92)
    if crowded:
        ratio = min(0.92, ratio * 1.2)
    nuclei = 2 if rng.random() < shift.binucleate else 1
    if nuclei == 2 and rng.random() < 0.15:
        nuclei = 3
    cell = float(np.clip(nucleus / ratio * (1.0 + 0.25 * (nuclei - 1)), nucleus * 1.06, 50.0))
    bumpy = rng.random() < shift.nucleolus_irregular
    return CellTraits(
        cell_um=cell,
        nucleus_um=nucleus,
        cell_aspect=1.0 + abs(rng.normal(0.0, 0.14)),
        cell_irregular=abs(rng.normal(0.05, 0.02)),
        nuclei=nuclei,
        nucleus_aspect=1.0 + abs(rng.normal(0.05, 0.10)),
        indent=max(0.0, rng.normal(-0.15, 0.2)) if rng.random() < 0.3 else 0.0,
        offset=_around(shift.offset, rng, 0.0, 0.95),
        irregular=_around(shift.irregular, rng, 0.01, 0.15),
        grain_um=_around(shift.grain_um, rng, 0.45, 1.8),
        clearing=_around(shift.clearing, rng, 0.1, 0.75),
        nucleoli=int(min(4, rng.poisson(shift.nucleoli))),
        nucleolus_um=_around(shift.nucleolus_um, rng, 0.7, 5.0),
        nucleolus_irregular=0.35 if bumpy else 0.06,
        cytoplasm=float(0.26 * np.exp(rng.normal(0.0, 0.22))),
        lacy=float(rng.uniform(0.3, 0.9)),
        warm=float(rng.beta(0.5, 1.1)),
        foam=float(max(0.0, rng.normal(-0.1, 0.2))),
        vacuoles=int(rng.integers(1, 6)) if rng.random() < shift.vacuolated else 0,
        vacuole_um=float(rng.uniform(1.5, 5.0)),
        thickness_um=float(rng.uniform(3.0, 5.5)),
    )


def _lymphocyte(rng: np.random.Generator) -> CellTraits:
    nucleus = float(np.clip(rng.normal(6.9, 0.6), 5.6, 9.0))
    return CellTraits(
        cell_um=nucleus / float(rng.uniform(0.78, 0.92)),
        nucleus_um=nucleus,
        irregular=float(rng.uniform(0.01, 0.05)),
        offset=float(rng.uniform(0.1, 0.8)),
        indent=float(rng.choice([0.0, 0.0, 0.18])),
        grain_um=float(rng.uniform(0.8, 1.3)),
        clearing=float(rng.uniform(0.15, 0.3)),
        cytoplasm=float(0.26 * np.exp(rng.normal(0.0, 0.2))),
        lacy=0.2,
        warm=float(rng.beta(0.5, 1.1)),
        thickness_um=3.0,
    )


def _macrophage(rng: np.random.Generator) -> CellTraits:
    nucleus = float(np.clip(rng.normal(9.2, 1.2), 7.0, 12.5))
    return CellTraits(
        cell_um=float(np.clip(nucleus / rng.uniform(0.28, 0.52), 14.0, 38.0)),
        nucleus_um=nucleus,
        cell_aspect=float(rng.uniform(1.0, 1.35)),
        cell_irregular=float(rng.uniform(0.04, 0.10)),
        nuclei=2 if rng.random() < 0.06 else 1,
        nucleus_aspect=float(rng.uniform(1.05, 1.5)),
        indent=float(rng.uniform(0.0, 0.55)),
        offset=float(rng.uniform(0.3, 0.9)),
        irregular=float(rng.uniform(0.02, 0.07)),
        grain_um=float(rng.uniform(0.6, 1.0)),
        clearing=float(rng.uniform(0.2, 0.4)),
        nucleoli=int(rng.random() < 0.25),
        nucleolus_um=0.9,
        cytoplasm=float(0.22 * np.exp(rng.normal(0.0, 0.25))),
        lacy=float(rng.uniform(0.4, 0.9)),
        warm=float(rng.beta(0.5, 1.1)),
        foam=float(rng.uniform(0.3, 0.9)),
        vacuoles=int(rng.poisson(2.5)),
        vacuole_um=float(rng.uniform(1.2, 4.0)),
        thickness_um=5.0,
    )


def _granulocyte(rng: np.random.Generator, *, eosinophil: bool) -> CellTraits:
    cell = float(rng.uniform(12.0, 16.0) if eosinophil else rng.uniform(10.0, 14.5))
    return CellTraits(
        cell_um=cell,
        nucleus_um=cell * float(rng.uniform(0.54, 0.62)),
        lobes=2 if eosinophil else int(rng.integers(2, 6)),
        irregular=0.05,
        grain_um=float(rng.uniform(0.8, 1.2)),
        clearing=0.18,
        cytoplasm=float(0.16 * np.exp(rng.normal(0.0, 0.35))),
        lacy=0.2,
        warm=float(rng.beta(1.0, 0.8)),
        granules=float(rng.uniform(0.3, 0.8)) if eosinophil else float(rng.uniform(0.0, 0.12)),
        thickness_um=3.0,
    )


def draw_traits(kind: str, rng: np.random.Generator) -> CellTraits:
    """Traits of a nucleated cell of a kind; "..._crowded" as it lies in a cluster. Raises KeyError for others."""
    name, _, crowded = kind.partition("_")
    if name in SHIFTS:
        return large_cell(SHIFTS[name], rng, crowded=bool(crowded))
    if name == "lymphocyte":
        return _lymphocyte(rng)
    if name == "macrophage":
        return _macrophage(rng)
    return _granulocyte(rng, eosinophil={"neutrophil": False, "eosinophil": True}[name])
