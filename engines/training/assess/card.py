"""The model card, written from what was measured: nothing in it is typed by hand but what no command can know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engines.package import EnginePackage
from engines.training.assess.card_label_free import LIMITS, learned_parts, method_parts, twin_slide_parts
from engines.training.assess.card_label_free import PURPOSE as LABEL_FREE
from engines.training.assess.card_table import Rows, interval, table

_PURPOSE = {
    "serous": "Finds malignant cells in serous effusions, and counts benign nucleated cells",
    "afb": "Finds acid-fast bacilli in Ziehl-Neelsen sputum",
}
_LIMITS = {
    "serous": (
        "Never saw a real effusion: every slide it was trained and measured on is the twin's. What it would do on a",
        "real slide is not known.",
    ),
    "afb": (
        "The real crops come from one source (one laboratory's stain, phone cameras); their scale was inferred from",
        "rod lengths (median 2.75 µm). No slide of a patient was ever graded with it. Slide figures are the twin's.",
    ),
}
_NEVER_VERIFIED = (
    "Never verified: a real CytoScan picture, another laboratory's stain, a patient's outcome, TensorRT, a Jetson."
)
_NEVER_FOR = {
    "serous": "Diagnosis; naming a tumour; calling a patient free of malignancy; other stains or scales.",
    "afb": "Diagnosis; calling a patient free of tuberculosis; fluorochrome stains; other scales.",
}
_ACTIVATIONS_ONLY = (
    " The network before quantisation was no longer at hand: FP32 is this file without the rounding of activations, so "
    "that what the rounding of weights costs is not seen here."
)
_FROC = (0.001, 0.01, 0.1, 1.0)


def card_text(package: EnginePackage, measured: Mapping[str, Any]) -> str:
    """The card of `package` from the figures in its `measured.json`."""
    manifest = package.manifest
    scale = manifest.scale
    learned = measured.get("learned")
    parts = [
        f"# {package.title}",
        "Research use only, not for diagnosis. A reference network: it proves the path from slide to verdict.",
        f"{LABEL_FREE if learned else _PURPOSE[manifest.assay]}, at {scale.min_um_per_px:g} to "
        f"{scale.max_um_per_px:g} µm/px (native {scale.native_um_per_px:g}). Stride {manifest.output.stride}, INT8.",
        f"Written by `{measured['command']}` from `measured.json`; the network is sha256 "
        f"`{manifest.onnx.sha256[:16]}…`.",
        "## Data",
        table(("source", "licence", "used for"), [(d.name, d.licence, d.used_for) for d in manifest.training_data]),
        f"Scales of INT8 from {manifest.quantisation.calibration_images} pictures: "
        f"{manifest.quantisation.calibration_source}.",
        *learned_parts(learned),
        *_objects(measured.get("objects")),
        f"The operating point in force was chosen on {manifest.operating_point.source}.",
        *_crops(measured.get("crops")),
        *_slides(measured),
        *twin_slide_parts(measured.get("twin_slides")),
        *method_parts(measured.get("methods")),
        *_gates(measured),
        *_changes(measured.get("changes")),
        *_controls(measured.get("controls")),
        *_speed(measured.get("speed")),
        "## Limits",
        "\n".join(LIMITS if learned else _LIMITS[manifest.assay]),
        *([] if learned else [_NEVER_VERIFIED]),
        "## Must not be used for",
        _NEVER_FOR[manifest.assay],
    ]
    return "\n\n".join(parts) + "\n"


def _objects(figures: Mapping[str, Any] | None) -> list[str]:
    if figures is None:
        return []
    rows: list[Sequence[object]] = [
        (
            "found at the threshold, of all within a depth of field of the focal plane",
            interval(figures["sensitivity"]),
        ),
        (
            "found at the threshold, of those in focus (half a depth of field)",
            interval(figures["sensitivity_in_focus"]),
        ),
        *(
            [("found at the threshold, of all that lie there, out of focus or not", interval(figures["share_found"]))]
            if "share_found" in figures
            else []
        ),
        ("false findings a field at the threshold", interval(figures["false_per_field"])),
        ("average precision", interval(figures["average_precision"])),
        ("expected calibration error of findings", figures["calibration_error"]),
    ]
    rows += [
        (
            f"found at {rate:g} false findings a field: all, in focus",
            f"{interval(figures[f'froc_{rate:g}'])}, {interval(figures[f'froc_in_focus_{rate:g}'])}",
        )
        for rate in _FROC
    ]
    return [
        "## Objects on unseen twin slides",
        f"{figures['slides']} slides (test seeds), every second one without targets; {figures['fields']} fields, "
        f"{figures['area_mm2']} mm²; {figures['objects']} targets, {figures['objects_in_focus']} of them in focus; "
        f"{figures['false_findings']} false findings at the threshold. 95 % intervals by bootstrap over slides. Rates "
        f"below one false finding in {figures['fields']} fields cannot be seen here: there the first threshold without "
        "any false finding stands in.",
        table(("what", "figure"), rows),
        "A probability of 0.5 marks the operating point and is not the share of findings that are true: hence the "
        "calibration error.",
        "![sensitivity against false findings a field](froc.png)",
        "The ten best findings (above) and the ten worst false ones (below), with their probability:",
        "![best and worst findings](findings.png)",
    ]


def _crops(figures: Mapping[str, Any] | None) -> list[str]:
    if figures is None:
        return []
    rows = [
        ("AUROC, interval by source picture", interval(figures["auroc"])),
        ("average precision", figures["average_precision"]),
        ("crops with a bacillus found at the threshold", figures["found_at_threshold"]),
        ("crops without one called at the threshold", figures["false_at_threshold"]),
    ]
    return [
        "## Real crops, held back by source picture",
        f"{figures['crops']} crops of {figures['sources']} source pictures that no network was trained on.",
        table(("what", "figure"), rows),
    ]


def _slides(measured: Mapping[str, Any]) -> list[str]:
    parts: list[str] = []
    witness = measured.get("witness")
    if witness:
        rows = [
            (
                f"{100 * row['share']:g} %",
                row["slides"],
                f"{row['auroc']:.3f} ({row['low']:.3f} to {row['high']:.3f})",
                interval(row["sensitivity_at_t1"]),
            )
            for row in witness["rows"]
        ]
        parts += [
            "## Slides, through the appliance's verdict",
            f"{witness['fields']} fields a slide, {witness['negatives']} slides without malignant cells against each "
            f"row's slides with them. Of those without, {interval(witness['specificity_at_t1'])} stay below t1 and "
            f"{interval(witness['specificity_at_t3'])} below t3. Intervals by bootstrap over slides. Printed by "
            f"`{witness['command']}`.",
            table(("malignant among nucleated cells", "slides", "slide AUROC", "called AUS, SFM or MAL"), rows),
            "![slide AUROC against the share of malignant cells](witness.png)",
        ]
    grades = measured.get("grades")
    if grades:
        figures: Rows = [
            ("exact grade", interval(grades["exact"])),
            ("weighted kappa", grades["weighted_kappa"]),
            ("high false negatives, high false positives", f"{grades['hfn']}, {grades['hfp']}"),
            ("low false negatives, low false positives", f"{grades['lfn']}, {grades['lfp']}"),
            ("slide AUROC", interval(grades["auroc"])),
        ]
        parts += [
            "## Slides, through the appliance's verdict",
            f"{grades['slides']} unseen twin slides; the true grade is that of the bacilli lying in the fields read. "
            f"Printed by `{grades['command']}`.",
            table(("what", "figure"), figures),
        ]
    return parts


def _gates(measured: Mapping[str, Any]) -> list[str]:
    if "gates" not in measured:
        return []
    rows = [
        (
            gate["name"],
            gate["fp32"],
            gate["int8"],
            gate["value"],
            gate["limit"],
            gate["n"],
            "passed" if gate["passed"] else "FAILED",
        )
        for gate in measured["gates"]
    ]
    return [
        "## INT8 against FP32",
        "The same places scored by the network before and after quantisation; defocus bins in depths of field."
        + (_ACTIVATIONS_ONLY if measured.get("fp32") == "activations only" else ""),
        table(("gate", "FP32", "INT8", "value", "limit", "objects", "result"), rows),
    ]


def _changes(rows: Sequence[Mapping[str, Any]] | None) -> list[str]:
    if not rows:
        return []
    return [
        "## When the picture changes",
        "At the operating point in force. Of fields out of focus the objects that are there when sharp are asked for.",
        table(
            ("change", "targets", "found", "false a field"),
            [(row["change"], row["objects"], row["sensitivity"], row["false_per_field"]) for row in rows],
        ),
    ]


def _controls(rows: Sequence[Mapping[str, Any]] | None) -> list[str]:
    if not rows:
        return []
    return [
        "## Controls: what must not tell the class",
        table(
            ("classifier", "AUROC", "limit", "objects", "result"),
            [
                (row["name"], row["auroc"], row["limit"], row["objects"], "passed" if row["passed"] else "FAILED")
                for row in rows
            ],
        ),
    ]


def _speed(figures: Mapping[str, Any] | None) -> list[str]:
    if figures is None:
        return []
    return [
        "## Speed",
        f"Printed by `{figures['command']}`, on {figures['machine']}; whole pipeline from uint8 frame to findings.",
        table(("what", "figure"), list(figures["rows"].items())),
    ]
