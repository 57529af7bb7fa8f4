"""The model card of an imported network: what was measured here, and what nobody here knows."""

from __future__ import annotations

from collections import Counter

from engines.gates import Gate
from engines.importing.parity import FLOOR
from engines.package import Manifest, OperatingPointSpec, Tiling
from engines.tiles import tile_count

UNMEASURED = "unmeasured"
_FRAME = (1208, 1928)


def card(manifest: Manifest, gate: Gate, operators: Counter[str], notes: tuple[str, ...]) -> str:
    """Markdown text. notes: what was assumed and what was left out, a sentence each."""
    if manifest.origin is None or manifest.parity is None:
        raise ValueError("an imported network has an origin and was compared")
    scale, parity = manifest.scale, manifest.parity
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(operators.items()))
    wanted = "as wanted" if gate.passed else f"below the {gate.limit} that is wanted"
    lines = [
        f"# {manifest.name} {manifest.version}",
        "",
        "Research use only. Imported from a file that was not made here; it is not validated for any use.",
        "",
        f"Assay {manifest.assay}, labels {', '.join(label.name for label in manifest.labels)}; "
        f"{scale.min_um_per_px:g} to {scale.max_um_per_px:g} µm/px, native {scale.native_um_per_px:g}. "
        f"{_reading(manifest.tiling, manifest.output.stride)}",
        "",
        "## Measured when it was imported",
        "| what | figure |",
        "|---|---|",
        f"| source file | {manifest.origin.file}, sha256 {manifest.origin.sha256} |",
        f"| pixels, answers | {manifest.origin.pixels}; {manifest.origin.answers} |",
        f"| operators of the INT8 file | {kinds} |",
        f"| calibration | {manifest.quantisation.calibration_images} pictures, "
        f"sha256 {manifest.quantisation.calibration_sha256} |",
        f"| rank correlation FP32 to INT8 | {parity.spearman:.4f}, {wanted} ({parity.scores} answers on "
        f"{parity.pictures} held-back pictures, where either is at least {FLOOR:g} if there are enough) |",
        f"| largest difference of a probability | {parity.max_abs_delta:.4f} |",
        "",
        "Held-back pictures come from the same folder as those the scales were measured on, perhaps from the same",
        "slides.",
        "",
        "## Operating point",
        _point(manifest.operating_point),
        "",
        "## Not known",
        "- What it was trained on, under which licences, and whether the calibration pictures were among it.",
        "- How well it finds what it is said to find: on any slide, stain, scanner or scale.",
        "- How it answers out of focus, and whether INT8 changes that.",
    ]
    if notes:
        lines += ["", "## Notes", *(f"- {note}" for note in notes)]
    return "\n".join(lines) + "\n"


def _point(point: OperatingPointSpec) -> str:
    if point.name == UNMEASURED:
        return (
            f"Threshold {point.threshold:g}, unmeasured: sensitivity and false findings are not known, and slides are "
            "not graded with it."
        )
    return (
        f"{point.name}: threshold {point.threshold:g}, sensitivity {point.sensitivity:g}, {point.false_per_mm2:g} "
        f"false findings per mm², {point.false_per_cell:g} per cell. As given at import; source: {point.source}."
    )


def _reading(tiling: Tiling | None, stride: int) -> str:
    if tiling is None:
        return f"It gives a map for a whole frame, one cell for each {stride} px."
    count = tile_count(*_FRAME, tiling, stride)
    tile = f"{tiling.width_px} x {tiling.height_px} px"
    runs = f"It runs {count} times for a frame of {_FRAME[1]} x {_FRAME[0]} px."
    if tiling.answers == "field":
        return (
            f"It gives one answer for {tile}; frames are read in such tiles, {stride} px apart, and an object is "
            f"placed no better than that. {runs}"
        )
    return f"It gives a map for {tile}, one cell for each {stride} px; frames are read in such tiles. {runs}"
