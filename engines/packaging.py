"""A quantised network → a package folder: file, manifest with hash, model card."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnxruntime
import yaml

from engines.calibration import Calibration
from engines.package import (
    MANIFEST,
    MODEL_CARD,
    DataSource,
    EnginePackage,
    Label,
    OperatingPointSpec,
    Origin,
    Parity,
    Scale,
    Tiling,
    load_package,
)
from engines.quantize import SCHEME

MODEL_FILE = "model.qdq.onnx"
INPUT_NAME = "image"
OUTPUT_NAME = "probability"


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
    tiling: Tiling | None = None
    origin: Origin | None = None


def write_quantised(
    folder: Path,
    recipe: Recipe,
    model: onnx.ModelProto,
    calibration: Calibration,
    point: OperatingPointSpec,
    parity: Parity | None = None,
) -> EnginePackage:
    """Write the INT8 `model` as a package into `folder`, and read it back verified.

    model: one input INPUT_NAME, one output OUTPUT_NAME, as `engines.quantize` gives it.
    """
    data = model.SerializeToString()
    opset = next(entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL_FILE).write_bytes(data)
    manifest: dict[str, object] = {
        "schema": 1,
        "name": recipe.name,
        "version": recipe.version,
        "assay": recipe.assay,
        "intended_use": "research-use-only",
        "labels": [label.model_dump(mode="json") for label in recipe.labels],
        "scale": recipe.scale.model_dump(),
        "input": {"name": INPUT_NAME, "dtype": "uint8", "layout": "NHWC"},
        "output": {"name": OUTPUT_NAME, "dtype": "float32", "layout": "NCHW", "stride": recipe.stride},
        "onnx": {"file": MODEL_FILE, "sha256": hashlib.sha256(data).hexdigest(), "opset": opset},
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
    for key, part in (("tiling", recipe.tiling), ("parity", parity), ("origin", recipe.origin)):
        if part is not None:
            manifest[key] = part.model_dump()
    text = yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True, width=110)
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    return load_package(folder)


def write_card(folder: Path, text: str) -> None:
    """Write the model card."""
    (folder / MODEL_CARD).write_text(text, encoding="utf-8")
