"""The model card of a label-free engine, from what was measured while it was made."""

from __future__ import annotations

from collections.abc import Mapping

from engines.package import EnginePackage
from engines.training.label_free.settle import FALSE_PER_CELL, Settled
from engines.training.packaging import write_card

_TEXT = """# {title}

Research use only. Learned from unlabelled fields of negative slides: no cell was labelled, no malignant cell was shown.

Finds nuclei that differ from those fields the way malignant nuclei differ from benign ones (larger, uneven membrane,
coarse chromatin, prominent nucleoli), and counts the others, at {low} to {high} µm/px.

## How it learned
Nuclei were found by stain density. Some were enlarged and redrawn in place, others were redrawn at normal size as a
control; the network learned to tell the changed from the rest, whatever the stain, the lamp and the camera.

## Data
| what | figure |
|---|---|
{data}

## Measured on held-back negative slides, INT8 file through ONNX Runtime
| what | figure |
|---|---|
| slides, fields, cells counted | {slides}, {fields}, {cells} |
| false findings at the threshold | {false} ({rate:.6f} per counted cell; {allowed} allowed) |
| pseudo-atypical nuclei found at the threshold | {pseudo:.3f} |
{extra}
The operating point in force and its source are in `manifest.yaml`.

## Never verified
The share of real malignant cells that are found, any slide of another laboratory, other stains than those of the
fields it learned from, TensorRT. A slide without findings is not thereby negative.

## Must not be used for
Diagnosis. Slides of another scale or preparation than those it learned from.
"""


def write_card_of(
    package: EnginePackage, settled: Settled, facts: Mapping[str, str], measured: Mapping[str, str] | None = None
) -> None:
    """Write the model card beside the package; measured: further figures, by what they are."""
    manifest = package.manifest
    extra = "".join(f"| {name} | {value} |\n" for name, value in (measured or {}).items())
    text = _TEXT.format(
        title=package.title,
        low=manifest.scale.min_um_per_px,
        high=manifest.scale.max_um_per_px,
        data="\n".join(f"| {name} | {value} |" for name, value in facts.items()),
        slides=settled.slides,
        fields=settled.fields,
        cells=settled.cells,
        false=settled.false_findings,
        rate=settled.false_findings / settled.cells,
        allowed=FALSE_PER_CELL,
        pseudo=settled.pseudo_sensitivity,
        extra=extra,
    )
    write_card(package.folder, text)
