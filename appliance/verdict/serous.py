"""Serous effusions: from findings and counted cells to a category of the International System (TIS).

Slide score, a pure function of the findings' probabilities, the number of nucleated cells C and the operating point:

    B = L (C - n) + b0                     expected false findings; L per cell, b0 the background floor
    z = signed root of the deviance of n from B, false rates varying between slides (`evidence.excess`)
    t = mean over the k best findings of (logit p - logit threshold), missing ones counting 0
    score = squash(z + w t)                in (0, 1): 0.5 at the assay's `centre`, 0.75 one `half_scale` above

It rises with every further finding and with every probability, and falls with the number of cells that carried no
finding: it ranks slides by the evidence for a share of malignant cells. It is no probability of malignancy; what it
means on slides is said by the cut-offs t1, t2, t3, which come from validation slides with the operating point.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from appliance.assays.model import Assay, TisCode, TisGrading, TisScoring
from appliance.records import Finding
from appliance.verdict import poisson
from appliance.verdict.adequacy import Assessment
from appliance.verdict.evidence import excess, squash
from appliance.verdict.model import UNSATISFACTORY, CountEstimate, Verdict
from appliance.verdict.wording import chance, closing, number, percent, plural, title
from engines.scorer import OperatingPoint

NUCLEATED = "nucleated"
"""Key of `Verdict.counts` under which all nucleated cells stand together."""


@dataclass(frozen=True)
class _Evidence:
    """What the findings of one slide say. best: probabilities of the findings, highest first."""

    n: int
    cells: int
    expected_false: float
    probability: float
    best: tuple[float, ...]
    score: float


def slide_score(
    n: int, cells: int, probabilities: Sequence[float], point: OperatingPoint, scoring: TisScoring
) -> float:
    """The score of the module's formula, strictly between 0 and 1.

    n: target findings at or above the threshold. cells: nucleated cells, the findings included. probabilities: of
    those findings, in any order (fewer than n may be known).
    """
    background = point.false_per_cell * max(0, cells - n) + scoring.background_floor
    z = excess(n, background, scoring.false_rate_cv)
    best = sorted((p for p in probabilities if p >= point.threshold), reverse=True)[: scoring.top_k]
    t = sum(_logit(p) - _logit(point.threshold) for p in best) / scoring.top_k
    return squash(z + scoring.top_weight * t, scoring.centre, scoring.half_scale)


def grade_serous(
    assay: Assay,
    grading: TisGrading,
    assessed: Assessment,
    findings: Sequence[Finding],
    point: OperatingPoint,
    *,
    volume_ml: float | None = None,
) -> Verdict:
    """The verdict on one effusion; `point.cutoffs` must hold t1 <= t2 <= t3. volume_ml: submitted, if known."""
    evidence = _measure(assay, grading, assessed, findings, point)
    advice, flags = _advice(assay, evidence, assessed, volume_ml)
    draft = Verdict(
        assay=assay.name,
        category=UNSATISFACTORY,
        title=title(UNSATISFACTORY, "the slide could not be judged"),
        reasons=(),
        provisional=False,
        score=None,
        table=f"{grading.name}, version {grading.version}",
        operating_point=point.name,
        counts=_counts(assay, assessed, findings, point, evidence),
        fields=assessed.tally,
        area_mm2=assessed.area_mm2,
        figures={
            **assessed.figures,
            **_figures(evidence, point, assessed),
            **({} if volume_ml is None else {"volume_ml": volume_ml}),
        },
        flags=flags,
    )
    remarks = (*assessed.remarks, *advice, closing(assay))
    refusals = (*assessed.unreadable, *assessed.too_little)
    if refusals:
        return _refuse(draft, refusals, evidence, remarks)
    category = _category(evidence.score, point)
    poor = [*assessed.poor]
    if evidence.cells == 0:
        poor.insert(0, "No nucleated cell was found: cells are insufficient in number or preservation.")
    if poor and category == "NFM":
        if evidence.n > 0:
            # Any atypia forbids ND, so what cannot be called benign either is not called at all.
            return _refuse(draft, poor, evidence, remarks)
        category = "ND"
    named = {entry.code: entry for entry in grading.categories}[category]
    figures = {**draft.figures, "risk_of_malignancy_percent": named.rom_percent}
    return replace(
        draft,
        category=category,
        title=title(category, named.title),
        reasons=(*_main_reasons(category, evidence, poor, point), *remarks),
        provisional=bool(poor) and category != "ND",
        score=evidence.score,
        figures=figures,
        flags=(*flags, *(["rescan"] if poor else [])),
    )


def _logit(p: float) -> float:
    clipped = min(max(p, 1e-6), 1.0 - 1e-6)
    return math.log(clipped / (1.0 - clipped))


def _category(score: float, point: OperatingPoint) -> TisCode:
    ladder: tuple[tuple[TisCode, str], ...] = (("MAL", "t3"), ("SFM", "t2"), ("AUS", "t1"))
    for code, cutoff in ladder:
        if score >= point.cutoffs[cutoff]:
            return code
    return "NFM"


def _measure(
    assay: Assay, grading: TisGrading, assessed: Assessment, findings: Sequence[Finding], point: OperatingPoint
) -> _Evidence:
    n = sum(assessed.count(name, findings, point.threshold) for name in assay.labels.targets)
    cells = sum(assessed.count(name, findings, point.threshold) for name in assay.labels.cells)
    read = {record.index for record in assessed.fields}
    best = sorted(
        (
            f.probability
            for f in findings
            if f.field_index in read and f.label in assay.labels.targets and f.probability >= point.threshold
        ),
        reverse=True,
    )
    expected = point.false_per_cell * max(0, cells - n)
    return _Evidence(
        n=n,
        cells=cells,
        expected_false=expected,
        probability=poisson.probability_of_at_least(n, expected),
        best=tuple(best),
        score=slide_score(n, cells, best, point, grading.scoring),
    )


def _counts(
    assay: Assay,
    assessed: Assessment,
    findings: Sequence[Finding],
    point: OperatingPoint,
    evidence: _Evidence,
) -> dict[str, CountEstimate]:
    labels = dict.fromkeys((*assay.labels.targets, *assay.labels.cells))
    counts = {
        name: poisson.estimate(assessed.count(name, findings, point.threshold), assessed.area_mm2) for name in labels
    }
    return {**counts, NUCLEATED: poisson.estimate(evidence.cells, assessed.area_mm2)}


def _figures(evidence: _Evidence, point: OperatingPoint, assessed: Assessment) -> dict[str, float]:
    figures = {
        "expected_false_findings": evidence.expected_false,
        "false_findings_probability": evidence.probability,
        "sensitivity": point.sensitivity,
        **{f"cutoff_{name}": value for name, value in point.cutoffs.items()},
    }
    obscured = [record.quality.obscured for record in assessed.fields if record.quality is not None]
    if obscured:
        figures["obscured_share"] = sum(obscured) / len(obscured)
    if evidence.best:
        figures["best_probability"] = evidence.best[0]
    if evidence.cells > 0 and point.sensitivity > 0:
        low, high = poisson.interval(evidence.n)
        for name, count in (("", float(evidence.n)), ("_low", low), ("_high", high)):
            share = (count - evidence.expected_false) / point.sensitivity / evidence.cells
            figures[f"malignant_share{name}"] = min(1.0, max(0.0, share))
    return figures


def _advice(
    assay: Assay, evidence: _Evidence, assessed: Assessment, volume_ml: float | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Advisory sentences and the verdict's flags; none of them changes the category."""
    sentences, flags = [], [*assessed.flags]
    low = assay.adequacy.low_cellularity
    if low is not None and assessed.fields and evidence.cells < low:
        sentences.append(
            f"Low cellularity: {plural(evidence.cells, 'nucleated cell')} counted, fewer than {low} "
            "(this laboratory's own advisory threshold; no published minimum exists)."
        )
        flags.append("low_cellularity")
    wanted = assay.adequacy.recommended_volume_ml
    if wanted is not None and volume_ml is not None and volume_ml < wanted:
        sentences.append(
            f"The submitted volume was {number(volume_ml)} mL; at least {number(wanted)} mL are recommended, "
            "since small volumes miss malignant cells."
        )
        flags.append("volume_below_recommendation")
    return tuple(sentences), tuple(flags)


def _main_reasons(category: str, evidence: _Evidence, poor: Sequence[str], point: OperatingPoint) -> list[str]:
    if category == "ND":
        return [*poor, "Non-diagnostic is suggested: scan again, or prepare a new slide."]
    reasons = [_counted(evidence)]
    score = number(evidence.score)
    cutoffs = ", ".join(f"{name} {number(point.cutoffs[name])}" for name in ("t1", "t2", "t3"))
    reasons.append(f"Slide score {score}; cut-offs {cutoffs} (operating point {point.name}).")
    if category == "MAL":
        reasons.append(
            "Malignant is never issued by AI alone: it needs a cytopathologist and, by TIS, ancillary tests."
        )
    if poor:
        reasons += ["Provisional: " + reason for reason in poor]
        reasons.append("Non-diagnostic is not suggested, because atypical cells were found.")
    return reasons


def _counted(evidence: _Evidence) -> str:
    share = f" ({percent(evidence.n / evidence.cells)})" if evidence.cells else ""
    odds = ""
    if evidence.n > 0:
        odds = f"; the chance that they alone give {evidence.n} or more is {chance(evidence.probability)}"
    return (
        f"{plural(evidence.n, 'cell')} called malignant among {plural(evidence.cells, 'nucleated cell')}{share}; "
        f"{number(evidence.expected_false)} false calls are expected{odds}."
    )


def _refuse(draft: Verdict, refusals: Sequence[str], evidence: _Evidence, remarks: Sequence[str]) -> Verdict:
    reasons, flags = list(refusals), [*draft.flags, "rescan"]
    if evidence.n > 0:
        reasons.insert(
            1,
            f"In what could be read: {_counted(evidence)} Look at the pictures of the findings before the slide is "
            "repeated.",
        )
        flags.append("findings_on_unsatisfactory_slide")
    return replace(draft, reasons=(*reasons, *remarks), flags=tuple(flags))
