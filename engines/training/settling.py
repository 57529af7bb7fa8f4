"""Where to draw the line: operating points from validation slides, and the package that carries them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from engines.package import EnginePackage, OperatingPointSpec
from engines.packaging import Recipe
from engines.training.architecture import INPUT_SCALE
from engines.training.export import ConvLayer, build_onnx
from engines.training.fields import Measured
from engines.training.packaging import THRESHOLD, shift_logits, write_package

_log = logging.getLogger(__name__)

FLOAT_FILE = "float.onnx"

_UNMEASURED = OperatingPointSpec(
    name="unmeasured", threshold=THRESHOLD, sensitivity=0, false_per_mm2=0, false_per_cell=0, source="none"
)
_GRID = np.linspace(0.1, 0.97, 88)
_HALF = 0.5  # of a false finding: a rate of nothing has never been measured


@dataclass(frozen=True)
class Settled:
    """Thresholds of the labels before the shift to 0.5, and the operating point they make."""

    thresholds: tuple[float, ...]
    point: OperatingPointSpec


def settle(
    folder: Path,
    recipe: Recipe,
    layers: Sequence[ConvLayer],
    pictures: Sequence[NDArray[np.uint8]],
    choose: Callable[[Path], Settled],
) -> EnginePackage:
    """Quantise `layers`, let `choose` measure the package in `folder`, and write it again with its thresholds at 0.5.

    pictures: for calibration, uint8 RGB (H, W, 3). The same network before quantisation is written beside the folder,
    as FLOAT_FILE, for the gates that compare the two.
    """
    write_package(folder, recipe, layers, input_scale=INPUT_SCALE, pictures=pictures, point=_UNMEASURED)
    settled = choose(folder)
    _log.info("thresholds before the shift: %s; %s", settled.thresholds, settled.point)
    shifted = shift_logits(layers, settled.thresholds)
    onnx.save(build_onnx(shifted, INPUT_SCALE, recipe.name), folder.with_name(FLOAT_FILE))
    return write_package(folder, recipe, shifted, input_scale=INPUT_SCALE, pictures=pictures, point=settled.point)


def point_at(measured: Measured, threshold: float, *, per_cell: bool, source: str) -> OperatingPointSpec:
    """What `measured` says of `threshold`, which the shift makes 0.5; where nothing is false, half a finding counts.

    per_cell: false findings are counted by cells, and sensitivity is that for cells one can name; otherwise they are
    counted by area, and sensitivity is the share found of all that lies there, which a density is corrected by.
    """
    false = max(_HALF, float(measured.false_count(threshold)))
    return OperatingPointSpec(
        name="validation",
        threshold=THRESHOLD,
        sensitivity=round(measured.sensitivity(threshold) if per_cell else measured.share_found(threshold), 4),
        false_per_mm2=round(false / measured.area_mm2, 5),
        false_per_cell=float(f"{false / max(1, measured.cells):.3g}") if per_cell else 0.0,
        source=source,
    )


def most_telling(measured: Measured, share: float, cells: int, spread: float) -> float:
    """The threshold at which a slide of `cells` cells with a small `share` of targets stands out most from none.

    Expected true findings, in standard deviations of the false ones: Poisson, with a false rate that differs between
    slides by the relative `spread`.
    """

    def stands_out(threshold: float) -> float:
        rate = max(_HALF, measured.false_count(threshold)) / max(1, measured.cells)
        false = rate * cells
        return measured.sensitivity(threshold) * share * cells / float(np.sqrt(false + (spread * false) ** 2 + 1.0))

    return float(max(_GRID, key=stands_out))
