"""From one field's picture to its outcome, counts and findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.records import Finding, ImageQuality, Outcome, SlideRun
from appliance.scan.plan import PlannedField
from appliance.scan.quality import classify, measure_quality
from engines.scorer import Detection, Detections, Scorer, nothing


@dataclass(frozen=True)
class ReadingRules:
    """What of a score is kept.

    targets: labels that are findings; others are only counted. count_from: probability from which a detection
    counts. keep_from: from which a target is kept for review. keep_top: findings whose pictures are kept.
    keep_fields: keep every field's picture.
    """

    targets: tuple[str, ...]
    count_from: float
    keep_from: float
    keep_top: int
    keep_fields: bool = False


@dataclass(frozen=True)
class Interpretation:
    """What a field's picture says.

    counts: detections per label from `count_from` on. findings: most probable first. counted: those detections.
    """

    outcome: Outcome
    reason: str
    quality: ImageQuality
    counts: dict[str, int]
    findings: tuple[Finding, ...]
    counted: tuple[Detection, ...] = ()


@dataclass(frozen=True)
class Judged:
    """Whether a field's picture can be read, before it is scored."""

    outcome: Outcome
    reason: str
    quality: ImageQuality


def judge_picture(rgb: NDArray[np.uint8], outcome: Outcome, reason: str) -> Judged:
    """Quality first. rgb: uint8 (H, W, 3). outcome, reason: what focusing made of the field."""
    quality = measure_quality(rgb)
    if outcome is Outcome.USABLE:
        outcome, reason = classify(quality)
    return Judged(outcome, reason, quality)


def begin_scoring(judged: Judged, rgb: NDArray[np.uint8], scorer: Scorer, um_per_px: float) -> Detections:
    """Only a field that can be read is scored. Raises BadInput when the engine does not fit the picture."""
    return scorer.begin(rgb, um_per_px) if judged.outcome is Outcome.USABLE else nothing


def interpret(
    judged: Judged,
    detections: Sequence[Detection],
    planned: PlannedField,
    z_um: float,
    *,
    run: SlideRun,
    rules: ReadingRules,
) -> Interpretation:
    """What was found, kept and counted by the rules. z_um: height at which the picture was taken."""
    counted = tuple(d for d in detections if d.probability >= rules.count_from)
    counts = dict(Counter(d.label for d in counted))
    findings = _findings(detections, planned, z_um, run, rules)
    return Interpretation(judged.outcome, judged.reason, judged.quality, counts, findings, counted)


def _findings(
    detections: Sequence[Detection], planned: PlannedField, z_um: float, run: SlideRun, rules: ReadingRules
) -> tuple[Finding, ...]:
    kept = [d for d in detections if d.label in rules.targets and d.probability >= rules.keep_from]
    return tuple(_placed(d, planned, z_um, run) for d in sorted(kept, key=lambda d: d.probability, reverse=True))


def _placed(detection: Detection, planned: PlannedField, z_um: float, run: SlideRun) -> Finding:
    """Pixels to stage micrometres: the frame's centre looks at the field's centre."""
    scale = run.um_per_px
    centre_x, centre_y = (run.field_width_um / scale - 1) / 2, (run.field_height_um / scale - 1) / 2
    return Finding(
        field_index=planned.index,
        label=detection.label,
        probability=detection.probability,
        x_um=planned.x_um + (detection.x_px - centre_x) * scale,
        y_um=planned.y_um + (detection.y_px - centre_y) * scale,
        z_um=z_um,
        x_px=detection.x_px,
        y_px=detection.y_px,
        width_px=detection.width_px,
        height_px=detection.height_px,
    )
