"""What the card of a label-free engine says beyond that of any other: how it learned, and what it was compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engines.training.assess.card_table import interval, table

PURPOSE = (
    "Finds nuclei that differ from those of negative slides the way malignant nuclei differ from benign ones (larger, "
    "uneven membrane, coarse chromatin, prominent nucleoli), and counts the others"
)
LIMITS = (
    "No cell was labelled and no malignant cell was shown. Never verified: the share of real malignant cells that are",
    "found, another laboratory's slides, other stains than those of the fields it learned from, TensorRT, a Jetson.",
    "A slide without findings is not thereby negative.",
)


def learned_parts(learned: Mapping[str, Any] | None) -> list[str]:
    """How it learned and what held-back negative slides showed; learned: what `label_free.learn` measured."""
    if learned is None:
        return []
    held = learned["held_back"]
    rows = [
        ("slides, fields, cells counted", f"{held['slides']}, {held['fields']}, {held['cells']}"),
        (
            "false findings at the threshold",
            f"{held['false_findings']} ({held['false_findings'] / held['cells']:.6f} per counted cell; "
            f"{held['allowed_per_cell']} allowed)",
        ),
        ("pseudo-atypical nuclei found at the threshold", round(held["pseudo_sensitivity"], 3)),
        ("rank correlation FP32 to INT8 on tiles of these slides", round(held["rank_parity"], 4)),
    ]
    return [
        "## How it learned",
        "From unlabelled fields of negative slides alone. Nuclei were found by stain density. Some were enlarged and "
        "redrawn in place, others were redrawn at normal size as a control; the network learned to tell the changed "
        "from the rest, whatever the stain, the lamp and the camera.",
        table(("what", "figure"), list(learned["facts"].items())),
        "## Held-back negative slides",
        table(("what", "figure"), rows),
    ]


def twin_slide_parts(slides: Mapping[str, Mapping[str, Any]] | None) -> list[str]:
    """Slide figures by part of the seeds, each as `label_free.twin.figures_of` gives them."""
    if not slides:
        return []
    rows = [
        (
            name,
            f"{f['slides']} ({f['positive']})",
            interval((f["auroc"], *f["auroc_ci"])),
            f"{f['sensitivity']} of {f['malignant_cells']}",
            f"{f['false_findings']} on {f['cells_on_negative_slides']} cells",
        )
        for name, f in slides.items()
    ]
    head = ("slides", "number (positive)", "slide AUROC (95 % by slide bootstrap)", "malignant cells found", "false")
    return ["## Twin slides, written by `label_free.twin`", table(head, rows)]


def method_parts(rows: Sequence[Mapping[str, Any]] | None) -> list[str]:
    """The ablation: rows of `ablation.json`."""
    if not rows:
        return []
    return [
        "## Methods compared",
        "Each learned from the same unlabelled negative fields for as many steps, and was measured on the same "
        "validation slides: slide AUROC by how a slide's cells become one score. With ten slides of each kind an AUROC "
        "of 0.7 has a standard error of 0.12 (Hanley and McNeil, Radiology 143 (1982) 29): rows that are nearer to "
        "each other than that do not differ for sure.",
        ablation_table(rows),
    ]


def ablation_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows of an ablation as a Markdown table, one column for each aggregation."""
    names = list(rows[0]["auroc"]) if rows else []
    lines = [(row["method"], row["minutes"], *(f"{row['auroc'][n]:.3f}" for n in names)) for row in rows]
    return table(("method", "min", *names), lines)
