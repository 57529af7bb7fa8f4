"""What is held against an engine, given how it read the golden fields. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engines.acceptance.compare import Seen, Tolerance, difference, findings, identical, same_findings, total
from engines.acceptance.golden import Budget, Golden
from engines.acceptance.report import Check
from engines.package import EnginePackage

Answers = Sequence[Sequence[Seen]]
"""Detections of each golden field."""


@dataclass(frozen=True)
class Readings:
    """rounds: all fields, read again and again. after_full: the empty picture, read right after each full field.

    seconds: how long each field of the rounds after the first took. reference: the CPU runtime's answers, where asked.
    """

    rounds: Sequence[Answers]
    after_full: Answers
    seconds: Sequence[float]
    reference: Answers | None


def full(detections: Sequence[Seen], package: EnginePackage) -> bool:
    """Whether there is any finding."""
    return bool(findings(detections, package.operating_point.threshold))


def all_checks(package: EnginePackage, golden: Golden, readings: Readings, device_class: str) -> tuple[Check, ...]:
    """Every check that the readings allow."""
    limits, manifest = golden.limits, package.manifest
    tolerance = Tolerance(
        threshold=manifest.operating_point.threshold,
        reported=manifest.report_threshold,
        targets=frozenset(label.name for label in manifest.labels if label.target),
        score=limits.max_abs_score_delta,
        others=limits.max_other_share,
        radius_px=limits.match_radius_px,
    )
    expected = [field.expected for field in golden.fields]
    first, *later = readings.rounds
    checks = [
        _scores("expected_scores", "Against what is expected", [(expected, first)], tolerance),
        _agreement(expected, first, tolerance, limits.min_agreement),
        _scores("repeatability", "Read again", [(first, again) for again in later], tolerance),
        _fresh(readings.rounds),
        _empty(readings.after_full, package),
        *_latency(limits.budget(device_class), readings.seconds, device_class),
    ]
    if readings.reference is not None:
        checks.append(_scores("cpu_parity", "Against the CPU runtime", [(readings.reference, first)], tolerance))
    return tuple(checks)


def _scores(name: str, what: str, pairs: Sequence[tuple[Answers, Answers]], tolerance: Tolerance) -> Check:
    """Probabilities of the same objects, and that no target is a finding in one of them only."""
    found = total(
        difference(one, other, tolerance) for first, second in pairs for one, other in zip(first, second, strict=True)
    )
    return Check(
        name,
        found.max_abs_delta <= tolerance.score and not found.missing and not found.added,
        found.max_abs_delta,
        tolerance.score,
        f"{what}, {found.pairs} objects differ in probability by at most {found.max_abs_delta:.3g} (limit "
        f"{tolerance.score:g}); {found.missing} target findings are missing, {found.added} are added.",
    )


def _agreement(expected: Answers, found: Answers, tolerance: Tolerance, least: float) -> Check:
    """Findings of each label in each field."""
    agree = sum(same_findings(one, other, tolerance) for one, other in zip(expected, found, strict=True))
    sentence = f"{agree} of {len(found)} fields have the expected findings of each label (least share {least:g})."
    return Check("verdict_agreement", agree / len(found) >= least, agree / len(found), least, sentence)


def _fresh(rounds: Sequence[Answers]) -> Check:
    stale = sum(len(identical(answers)) for answers in rounds)
    return Check(
        "fresh_answers",
        not stale,
        stale,
        0,
        f"{stale} times two different pictures had the same answer to the last bit.",
    )


def _empty(after_full: Answers, package: EnginePackage) -> Check:
    wrong = sum(full(answer, package) for answer in after_full)
    sentence = f"{wrong} of {len(after_full)} empty pictures had findings right after a picture that has some."
    return Check("empty_after_full", not wrong, wrong, 0, sentence)


def _latency(budget: Budget, seconds: Sequence[float], device_class: str) -> list[Check]:
    # Of fewer than a hundred readings, the slowest is the 99th percentile.
    median, p99 = float(np.median(seconds)) * 1e3, float(np.quantile(seconds, 0.99, method="higher")) * 1e3
    return [
        Check(
            f"latency_{name}",
            measured <= limit,
            measured,
            limit,
            f"A field takes {measured:.1f} ms ({name} of {len(seconds)}; limit {limit:g} ms for {device_class}).",
        )
        for name, measured, limit in (("median", median, budget.median), ("p99", p99, budget.p99))
    ]
