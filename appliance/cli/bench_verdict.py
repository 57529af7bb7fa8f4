"""Measure serous and AFB slide verdicts: unseen twin slides, half of them positive, against what lies on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from appliance.assays import Assay
from appliance.cli.bench_figures import Floats, auroc, auroc_interval, share_interval
from appliance.cli.bench_reading import Job, SlideScore, half_positive, read_slides
from appliance.settings import Settings
from appliance.verdict import choose_cutoffs

_FROM_T1 = ("AUS", "SFM", "MAL")
_FROM_T3 = ("MAL",)


def bench_verdict(
    assay: Assay,
    settings: Settings,
    slides: int,
    fields: int,
    seed: int,
    *,
    malignant: Sequence[float],
    afb_per_hpf: float,
) -> dict[str, object]:
    """AUROC of the slide score with its bootstrap interval over slides, and every slide's verdict."""
    first = Job(assay, settings, fields, seed, None, None, assay.magnifications[0])
    scores = list(read_slides(half_positive(first, slides, malignant=malignant, afb_per_hpf=afb_per_hpf)))
    positive, negative = _scores(scores, positive=True), _scores(scores, positive=False)
    rng = np.random.default_rng(seed)
    tis: dict[str, object] = {}
    if assay.grading.scheme == "tis":
        tis = {
            "suggested_cutoffs": choose_cutoffs(list(negative), list(positive)),
            "sensitivity_at_t1": called([s for s in scores if s.positive], _FROM_T1, rng),
            **specificity([s for s in scores if not s.positive], rng),
        }
    return {
        "assay": assay.name,
        "slides": slides,
        "fields_per_slide": fields,
        **({"malignant_shares": list(malignant)} if assay.name == "serous" else {}),
        "auroc": auroc(positive, negative),
        "auroc_ci": auroc_interval(positive, negative, rng),
        **tis,
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
        own = scores[group * slides : (group + 1) * slides]
        positive = np.array([score.score for score in own])
        low, high = auroc_interval(positive, negative, rng)
        value = auroc(positive, negative)
        found = called(own, _FROM_T1, rng)
        rows.append(
            {"share": share, "slides": slides, "auroc": value, "low": low, "high": high, "sensitivity_at_t1": found}
        )
    return {
        "assay": assay.name,
        "fields": fields,
        "negatives": slides,
        **specificity(scores[:slides], rng),
        "rows": rows,
        "verdicts": [asdict(score) for score in scores],
    }


def called(scores: Sequence[SlideScore], categories: Sequence[str], rng: np.random.Generator) -> list[float]:
    """Share of slides whose verdict is one of `categories`, with its 95 % interval by bootstrap over slides."""
    hits = np.array([score.category in categories for score in scores], np.bool_)
    return [float(hits.mean()), *share_interval(hits, rng)]


def specificity(benign: Sequence[SlideScore], rng: np.random.Generator) -> dict[str, list[float]]:
    """Shares of benign slides that stay below t1 and below t3, with their intervals."""
    figures = {}
    for name, categories in (("t1", _FROM_T1), ("t3", _FROM_T3)):
        share, low, high = called(benign, categories, rng)
        figures[f"specificity_at_{name}"] = [1.0 - share, 1.0 - high, 1.0 - low]
    return figures


def _scores(scores: Sequence[SlideScore], *, positive: bool) -> Floats:
    return np.array([s.score for s in scores if s.positive == positive])
