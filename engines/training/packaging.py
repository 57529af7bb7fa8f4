"""A trained network → a package folder: layers to ONNX, quantised, written by `engines.packaging`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.onnx_cpu import OnnxCpuScorer
from engines.package import EnginePackage, OperatingPointSpec, load_package
from engines.packaging import Recipe, write_card, write_quantised
from engines.quantize import quantize
from engines.training.export import ConvLayer, build_onnx

__all__ = ["THRESHOLD", "Recipe", "open_scorer", "shift_logits", "write_card", "write_package"]

THRESHOLD = 0.5


def shift_logits(layers: Sequence[ConvLayer], thresholds: Sequence[float]) -> list[ConvLayer]:
    """The same network with each label's threshold moved to probability 0.5.

    One threshold then serves every label, and a probability says on which side of the operating point an object lies.
    """
    wanted = np.asarray(thresholds, np.float64)
    offset = np.log(wanted / (1 - wanted)).astype(np.float32)
    return [*layers[:-1], replace(layers[-1], bias=layers[-1].bias - offset)]


def write_package(
    folder: Path,
    recipe: Recipe,
    layers: Sequence[ConvLayer],
    *,
    input_scale: float,
    pictures: Sequence[NDArray[np.uint8]],
    point: OperatingPointSpec,
) -> EnginePackage:
    """Quantise `layers` on the calibration `pictures`, write the package into `folder`, and read it back verified."""
    model, calibration = quantize(build_onnx(layers, input_scale, recipe.name), pictures)
    return write_quantised(folder, recipe, model, calibration, point)


def open_scorer(folder: Path, threads: int = 1) -> OnnxCpuScorer:
    """A scorer on the package in `folder`."""
    return OnnxCpuScorer(load_package(folder), threads=threads)
