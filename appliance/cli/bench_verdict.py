"""Measure serous and AFB slide verdicts: unseen twin slides, half of them positive, against what lies on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from appliance.assays import Assay
from appliance.cli.bench_figures import Floats, auroc, auroc_interval
from appliance.cli.bench_reading import Job, SlideScore, read_slides
from appliance.settings import Settings
from appliance.verdict import choose_cutoffs


def bench_verdict(
    assay: Assay, settings: Settings, slides: int, fields: int, seed: int, *, malignant: float, afb_per_hpf: float
) -> dict[str, object]:
    """AUROC of the slide score with its bootstrap interval over slides, and every slide's verdict."""
    jobs = [
        Job(
            assay,
            settings,
            fields,
            seed + number,
            malignant if number % 2 and assay.name == "serous" else None,
            afb_per_hpf if number % 2 and assay.name == "afb" else None,
            assay.magnifications[0],
        )
        for number in range(slides)
    ]
    scores = list(read_slides(jobs))
    positive, negative = _scores(scores, positive=True), _scores(scores, positive=False)
    return {
        "assay": assay.name,
        "slides": slides,
        "fields_per_slide": fields,
        "auroc": auroc(positive, negative),
        "auroc_ci": auroc_interval(positive, negative, np.random.default_rng(seed)),
        "suggested_cutoffs": choose_cutoffs(list(negative), list(positive)) if assay.grading.scheme == "tis" else {},
        "verdicts": [asdict(score) for score in scores],
    }


def bench_witness(
    assay: Assay, settings: Settings, slides: int, fields: int, seed: int, shares: Sequence[float]
) -> dict[str, object]:
    """Slide AUROC against the share of malignant cells: `slides` slides without, and as many for every share."""
    magnification = assay.magnifications[0]
    groups: list[float | None] = [None, *shares]
    jobs = [
        Job(assay, settings, fields, seed + group * slides + number, share, None, magnification)
        for group, share in enumerate(groups)
        for number in range(slides)
    ]
    scores = list(read_slides(jobs))
    negative = np.array([score.score for score in scores[:slides]])
    rng = np.random.default_rng(seed)
    rows = []
    for group, share in enumerate(shares, 1):
        positive = np.array([score.score for score in scores[group * slides : (group + 1) * slides]])
        low, high = auroc_interval(positive, negative, rng)
        value = auroc(positive, negative)
        rows.append({"share": share, "slides": slides, "auroc": value, "low": low, "high": high})
    return {
        "assay": assay.name,
        "fields": fields,
        "negatives": slides,
        "rows": rows,
        "verdicts": [asdict(score) for score in scores],
    }


def _scores(scores: Sequence[SlideScore], *, positive: bool) -> Floats:
    return np.array([s.score for s in scores if s.positive == positive])
