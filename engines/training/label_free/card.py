"""The model card of a label-free engine, from what was measured while it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engines.package import MODEL_CARD, EnginePackage
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


_HEADING = "## Measured on twin slides"


def append_to_card(
    package: Path,
    validation: Mapping[str, Any],
    *,
    test: Mapping[str, Any] | None = None,
    gates: Mapping[str, Any] | None = None,
    ablation: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Replace what the card in the folder `package` says of twin slides.

    validation, test: `twin.figures_of`. gates: what `gates` prints. ablation: the rows of `ablation.json`.
    """
    card = package / MODEL_CARD
    head = card.read_text(encoding="utf-8").split(_HEADING)[0].rstrip()
    parts = [head, _slides({"validation": validation, **({"test": test} if test else {})})]
    if gates:
        parts.append(_gates(gates))
    if ablation:
        parts.append(
            "## Methods compared\nEach learned from the same unlabelled negative fields for as many steps, and was "
            "measured on the same validation slides: slide AUROC by how a slide's cells become one score.\n"
            + ablation_table(ablation)
        )
    card.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _slides(measured: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [
        f"| {name} | {f['slides']} ({f['positive']}) | {f['auroc']:.3f} ({f['auroc_ci'][0]:.3f} to "
        f"{f['auroc_ci'][1]:.3f}) | {f['sensitivity']} of {f['malignant_cells']} | {f['false_findings']} on "
        f"{f['cells_on_negative_slides']} cells |"
        for name, f in measured.items()
    ]
    return "\n".join(
        [
            _HEADING,
            "| slides | number (positive) | slide AUROC (95 % by slide bootstrap) | malignant cells found | false |",
            "|---|---|---|---|---|",
            *lines,
        ]
    )


def _gates(gates: Mapping[str, Any]) -> str:
    whole, narrow = gates["fp32"], gates["int8"]
    return "\n".join(
        [
            "## INT8 against FP32, on validation slides",
            "| what | FP32 | INT8 |",
            "|---|---|---|",
            *(f"| {name.replace('_', ' ')} | {whole[name]} | {narrow[name]} |" for name in whole),
            f"| rank correlation of the two | | {gates['spearman']} |",
            f"| breaches of the rules for TensorRT | | {len(gates['lint'])} |",
        ]
    )


def ablation_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows of an ablation as a Markdown table, one column for each aggregation."""
    names = list(rows[0]["auroc"]) if rows else []
    lines = [f"| method | min | {' | '.join(names)} |", "|---|---|" + "---|" * len(names)]
    lines += [
        f"| {row['method']} | {row['minutes']} | " + " | ".join(f"{row['auroc'][n]:.3f}" for n in names) + " |"
        for row in rows
    ]
    return "\n".join(lines)
