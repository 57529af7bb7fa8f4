"""A trained network → a package folder: quantised file, manifest with hash, model card."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import yaml
from numpy.typing import NDArray

from engines.onnx_cpu import OnnxCpuScorer
from engines.package import (
    MANIFEST,
    MODEL_CARD,
    DataSource,
    EnginePackage,
    Label,
    OperatingPointSpec,
    Scale,
    load_package,
)
from engines.quantize import SCHEME, quantize
from engines.training.export import INPUT_NAME, OPSET, OUTPUT_NAME, ConvLayer, build_onnx

MODEL_FILE = "model.qdq.onnx"
THRESHOLD = 0.5


@dataclass(frozen=True)
class Recipe:
    """What a package says besides its network; see `engines.package.Manifest`."""

    name: str
    version: str
    assay: str
    labels: tuple[Label, ...]
    scale: Scale
    stride: int
    report_threshold: float
    training_data: tuple[DataSource, ...]
    calibration_source: str


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
    data = model.SerializeToString()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL_FILE).write_bytes(data)
    manifest = {
        "schema": 1,
        "name": recipe.name,
        "version": recipe.version,
        "assay": recipe.assay,
        "intended_use": "research-use-only",
        "labels": [_plain(label.model_dump()) for label in recipe.labels],
        "scale": recipe.scale.model_dump(),
        "input": {"name": INPUT_NAME, "dtype": "uint8", "layout": "NHWC"},
        "output": {"name": OUTPUT_NAME, "dtype": "float32", "layout": "NCHW", "stride": recipe.stride},
        "onnx": {"file": MODEL_FILE, "sha256": hashlib.sha256(data).hexdigest(), "opset": OPSET},
        "report_threshold": recipe.report_threshold,
        "operating_point": point.model_dump(),
        "training_data": [source.model_dump() for source in recipe.training_data],
        "quantisation": {
            "scheme": SCHEME,
            "calibration_images": calibration.images,
            "calibration_sha256": calibration.sha256,
            "calibration_source": recipe.calibration_source,
            "tool": f"engines.quantize, onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}",
        },
    }
    text = yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True, width=110)
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    return load_package(folder)


def write_card(folder: Path, text: str) -> None:
    """Write the model card."""
    (folder / MODEL_CARD).write_text(text, encoding="utf-8")


def open_scorer(folder: Path, threads: int = 1) -> OnnxCpuScorer:
    """A scorer on the package in `folder`."""
    return OnnxCpuScorer(load_package(folder), threads=threads)


def _plain(values: dict[str, object]) -> dict[str, object]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
