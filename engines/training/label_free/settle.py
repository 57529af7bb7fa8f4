"""The operating point of a label-free engine, from held-back negative slides alone.

What is found on a negative slide is false by definition, so the threshold follows from the false rate that is allowed.
How many malignant cells are found cannot be known without any: the share of pseudo-atypical nuclei that are found
stands in its place, and is called that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.decode import find_peaks
from engines.errors import EngineError
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import OperatingPointSpec
from engines.training.label_free.nuclei import UM_PER_PX, find_nuclei
from engines.training.label_free.pictures import FieldFile, read_field
from engines.training.label_free.samples import Mixing, Tiles, to_sample
from engines.training.packaging import THRESHOLD
from engines.training.subjects import SEROUS

FALSE_PER_CELL = 3e-4
CUTOFFS = {"t1": 0.3, "t2": 0.6, "t3": 0.9}
_FLOOR = 0.02
_GRID = np.linspace(0.05, 0.95, 91)


@dataclass(frozen=True)
class Settled:
    """Thresholds before the shift to 0.5, the operating point, and what it was measured on.

    pseudo_sensitivity: share of pseudo-atypical nuclei found. false_findings: on `cells` counted cells of `slides`.
    """

    thresholds: tuple[float, float]
    point: OperatingPointSpec
    pseudo_sensitivity: float
    false_findings: int
    cells: int
    slides: int
    fields: int


@dataclass(frozen=True)
class FieldScores:
    """Peaks of one field: of the first label, of the second, how many nuclei stain density shows, and its area."""

    atypical: NDArray[np.float32]
    cells: NDArray[np.float32]
    nuclei: int
    area_mm2: float


def score_picture(scorer: OnnxCpuScorer, picture: NDArray[np.uint8]) -> FieldScores:
    """Peaks of uint8 RGB `picture` (H, W, 3), down to 0.02."""
    maps = scorer.probabilities(picture)
    atypical, cells = (
        find_peaks(maps[i], SEROUS.stride, label.separation_um / UM_PER_PX, _FLOOR).probability
        for i, label in enumerate(SEROUS.labels)
    )
    area = picture.shape[0] * picture.shape[1] * (UM_PER_PX * 1e-3) ** 2
    return FieldScores(atypical, cells, _apart(picture), area)


def _apart(picture: NDArray[np.uint8]) -> int:
    """Nuclei by stain density, those nearer together than the label's separation counted once."""
    nuclei = find_nuclei(picture)
    order = np.argsort(-nuclei.radius)
    x, y = nuclei.x[order], nuclei.y[order]
    reach = SEROUS.labels[1].separation_um / UM_PER_PX
    kept: list[int] = []
    for i in range(x.size):
        if not kept or float(np.hypot(x[kept] - x[i], y[kept] - y[i]).min()) >= reach:
            kept.append(i)
    return len(kept)


def settle(scorer: OnnxCpuScorer, fields: Sequence[FieldFile], tiles: Tiles, mixing: Mixing, stride: int) -> Settled:
    """Thresholds and operating point from held-back `fields` and `tiles` of negative slides.

    Raises EngineError when the held-back fields hold no cell.
    """
    scored = list(_scored(scorer, fields))
    nuclei = sum(f.nuclei for f in scored)
    every = np.concatenate([f.cells for f in scored]) if scored else np.zeros(0, np.float32)
    counted = np.array([int((every >= t).sum()) for t in _GRID])
    if nuclei == 0 or counted.max() == 0:
        raise EngineError(
            "The slides held back for the threshold hold no cell.", remedy="Give fields with cells, and in focus."
        )
    benign = float(_GRID[int(np.argmin(np.abs(counted - nuclei)))])
    cells = int((every >= benign).sum())
    wrong = np.sort(np.concatenate([f.atypical for f in scored]))[::-1]
    limit = int(FALSE_PER_CELL * cells)
    edge = float(wrong[limit]) + 1e-4 if wrong.size > limit else _FLOOR
    threshold = float(np.clip(edge, 0.1, 0.98))
    false = int((wrong >= threshold).sum())
    pseudo = _pseudo_sensitivity(scorer, tiles, mixing, stride, threshold)
    slides = len({f.slide for f in fields})
    point = OperatingPointSpec(
        name="held-back negatives",
        threshold=THRESHOLD,
        sensitivity=round(pseudo, 4),
        false_per_mm2=round((false + 0.5) / sum(f.area_mm2 for f in scored), 4),
        false_per_cell=round((false + 0.5) / cells, 6),
        cutoffs=CUTOFFS,
        source=(
            f"{slides} held-back negative slides, {len(scored)} fields, {cells} counted cells; sensitivity is that "
            "for pseudo-atypical nuclei, no malignant cell was at hand; cutoffs are standard deviations above what "
            "false findings alone give, not measured on malignant slides"
        ),
    )
    return Settled((threshold, benign), point, pseudo, false, cells, slides, len(scored))


def _scored(scorer: OnnxCpuScorer, fields: Sequence[FieldFile]) -> Iterator[FieldScores]:
    for field in fields:
        picture = read_field(field.path)
        if picture is not None:
            yield score_picture(scorer, picture)


def _pseudo_sensitivity(scorer: OnnxCpuScorer, tiles: Tiles, mixing: Mixing, stride: int, threshold: float) -> float:
    """Share of nuclei made atypical, one tenth of each tile's, that reach `threshold`."""
    found = wanted = 0
    few = replace(mixing, atypical=0.1)
    for index, tile in enumerate(tiles.tiles):
        sample = to_sample(tile, few, stride, np.random.default_rng([7, index]))
        centres = sample.target[0] == 1.0
        if not centres.any():
            continue
        heat = scorer.probabilities(sample.picture)[0]
        hits, total = _parts_reached(centres, heat, threshold)
        found, wanted = found + hits, wanted + total
    return found / wanted if wanted else 0.0


def _parts_reached(centres: NDArray[np.bool_], heat: NDArray[np.float32], threshold: float) -> tuple[int, int]:
    """Of the connected parts of `centres`, how many hold a cell of `heat` at or above `threshold`, and their number."""
    count, parts = cv2.connectedComponents(centres.astype(np.uint8))
    reached = {int(p) for p in np.unique(parts[heat >= threshold])} - {0}
    return len(reached), count - 1
