"""Measure AFB grades: unseen twin smears from none to many bacilli, against the grade of what lies in their fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from appliance.assays import Assay
from appliance.assays.model import AfbGrading, DensityTable
from appliance.cli.bench_figures import auroc, auroc_interval, count, share_interval, weighted_kappa
from appliance.cli.bench_reading import Job, Magnification, SlideScore, read_slides
from appliance.settings import OpticsSection, Settings
from appliance.verdict import tables
from appliance.verdict.model import UNSATISFACTORY
from drivers.twin.settings import CameraModel

# Bacilli per high-power field, drawn log-uniformly within each: the table's own bounds, kept finite at both ends.
_PER_HPF = {"scanty": (0.03, 0.1), "1+": (0.1, 1.0), "2+": (1.0, 10.0), "3+": (10.0, 40.0)}
_NEGATIVE_SHARE = 0.4
_MIN_HPF = {"3+": 20.0, "2+": 50.0}
_SPARE = 1.15
_LOW = 2  # grades up to scanty: an error between a negative and these is a low one


@dataclass(frozen=True)
class GradedSlide:
    """What a slide was drawn as, what lies in its fields by the table, and what the appliance said."""

    drawn: str
    truth: str
    said: str
    score: SlideScore


def bench_grades(
    assay: Assay,
    grading: AfbGrading,
    settings: Settings,
    slides: int,
    fields: int,
    seed: int,
    magnification: Magnification,
) -> dict[str, object]:
    """Agreement of grades over `slides` smears, two fifths without bacilli, the rest spread over the table's grades.

    fields: read on smears that may be negative; of dense smears as many as the table asks for. Errors are named as in
    external quality assessment: high false negative (1+ to 3+ called negative), high false positive (the reverse),
    low false negative and low false positive (the same with scanty).
    """
    rng = np.random.default_rng(seed)
    drawn = [_draw(rng, number, slides) for number in range(slides)]
    field_mm2 = twin_field_mm2(magnification)
    hpf_mm2 = grading.high_power_field.area_mm2
    jobs = []
    for number, (name, per_hpf) in enumerate(drawn):
        enough = _MIN_HPF.get(name)
        wanted = fields if enough is None else min(fields, int(np.ceil(_SPARE * enough * hpf_mm2 / field_mm2)))
        jobs.append(Job(assay, settings, wanted, seed + number, None, per_hpf, magnification))
    table = grading.tables[0]
    ranks = [table.none_seen, table.few_seen, *(row.grade for row in table.rows)]
    graded = [
        GradedSlide(name, true_grade(table, score, hpf_mm2), score.category, score)
        for (name, _), score in zip(drawn, read_slides(jobs), strict=True)
    ]
    return {
        "assay": assay.name,
        "magnification": magnification,
        "slides": slides,
        "fields_of_a_negative": fields,
        **agreement(graded, ranks, np.random.default_rng(seed)),
        "verdicts": [{"drawn": g.drawn, "truth": g.truth, **asdict(g.score)} for g in graded],
    }


def twin_field_mm2(magnification: Magnification) -> float:
    """Area of a field of the twin's camera at a magnification, mm²."""
    camera, optics = CameraModel(), OpticsSection(magnification=magnification)
    return camera.width_px * camera.height_px * (optics.um_per_px * 1e-3) ** 2


def _draw(rng: np.random.Generator, number: int, slides: int) -> tuple[str, float | None]:
    if number < _NEGATIVE_SHARE * slides:
        return "negative", None
    name = list(_PER_HPF)[number % len(_PER_HPF)]
    low, high = _PER_HPF[name]
    return name, float(np.exp(rng.uniform(np.log(low), np.log(high))))


def true_grade(table: DensityTable, score: SlideScore, hpf_mm2: float) -> str:
    """The grade of the bacilli that lie in the fields read, by the table the appliance uses."""
    per_100_hpf = 100.0 * score.lying * hpf_mm2 / score.area_mm2 if score.area_mm2 else 0.0
    lying = score.lying
    return tables.grade(table, positive=lying > 0, n=lying, net=float(lying), per_100_hpf=per_100_hpf).name


def agreement(graded: Sequence[GradedSlide], ranks: Sequence[str], rng: np.random.Generator) -> dict[str, object]:
    """Exact grades, kappa, and errors high and low; slides the appliance would not judge are counted apart."""
    judged = [g for g in graded if g.said != UNSATISFACTORY]
    pairs = [(ranks.index(g.truth), ranks.index(g.said)) for g in judged]
    exact = np.array([truth == said for truth, said in pairs], np.bool_)
    positive = np.array([g.score.score for g in judged if g.score.lying])
    negative = np.array([g.score.score for g in judged if not g.score.lying])
    return {
        "unsatisfactory": len(graded) - len(judged),
        "exact": [float(exact.mean()), *share_interval(exact, rng)],
        "weighted_kappa": round(weighted_kappa([t for t, _ in pairs], [s for _, s in pairs], len(ranks)), 4),
        "hfn": count(pairs, lambda truth, said: truth > _LOW and said == 0),
        "hfp": count(pairs, lambda truth, said: truth == 0 and said > _LOW),
        "lfn": count(pairs, lambda truth, said: 0 < truth <= _LOW and said == 0),
        "lfp": count(pairs, lambda truth, said: truth == 0 and 0 < said <= _LOW),
        "auroc": [auroc(positive, negative), *auroc_interval(positive, negative, rng)],
    }
