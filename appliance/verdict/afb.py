"""Acid-fast bacilli: from counts and area to a grade.

Fields of a camera are not a microscope's fields, so everything goes by density (`appliance.verdict.density`): the area
read, divided by the area of one high-power field (which is printed), gives equivalent fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from appliance.assays.model import AfbGrading, Assay, DensityTable
from appliance.records import Finding
from appliance.verdict import poisson, tables
from appliance.verdict.adequacy import Assessment
from appliance.verdict.density import Density, measure
from appliance.verdict.evidence import excess, squash
from appliance.verdict.model import STOPPED_EARLY, UNSATISFACTORY, Verdict
from appliance.verdict.wording import chance, closing, number, plural, title
from engines.scorer import OperatingPoint

# Half an object: keeps the score finite where no false finding is expected at all.
_SCORE_FLOOR = 0.5
_SCORE_CENTRE = 0.0
_SCORE_HALF_SCALE = 3.0


def grade_afb(
    assay: Assay, grading: AfbGrading, assessed: Assessment, findings: Sequence[Finding], point: OperatingPoint
) -> Verdict:
    """The verdict on one sputum slide; `point.sensitivity` must be above 0."""
    density = measure(assay, grading, assessed, findings, point)
    table = grading.tables[0]
    graded = _grade_in(table, density)
    draft = Verdict(
        assay=assay.name,
        category=UNSATISFACTORY,
        title=title(UNSATISFACTORY, "the slide could not be judged"),
        reasons=(),
        provisional=False,
        score=None,
        table=tables.label(table),
        operating_point=point.name,
        counts={
            name: poisson.estimate(assessed.count(name, findings, point.threshold), assessed.area_mm2)
            for name in assay.labels.targets
        },
        fields=assessed.tally,
        area_mm2=assessed.area_mm2,
        figures={**assessed.figures, **_figures(density)},
        flags=assessed.flags,
    )
    refusals = [*assessed.unreadable, *assessed.poor]
    if not density.positive:
        refusals += assessed.too_little
        if assessed.fields and density.hpf < _rounded(grading.negative_hpf):
            refusals.append(_too_little(grading, density))
    if refusals:
        return _refuse(draft, assay, assessed, density, refusals)
    provisional = graded.min_hpf is not None and density.hpf < _rounded(graded.min_hpf)
    reasons = [_main_reason(graded, density)]
    flags = list(assessed.flags)
    if provisional:
        reasons.append(
            f"Provisional: the table asks for {number(graded.min_hpf or 0)} high-power fields before {graded.name} "
            f"stands; {number(density.hpf)} were read."
        )
        flags.append("provisional")
    if density.hpf < _rounded(grading.recommended_hpf) and STOPPED_EARLY not in assessed.flags:
        reasons.append(
            f"{number(density.hpf)} high-power fields were read; {number(grading.recommended_hpf)} are recommended "
            "for full sensitivity."
        )
        flags.append("area_below_recommendation")
    meaning = graded.title
    if density.n > 0 and not density.positive:
        flags.append("within_expected_false_findings")
        meaning = "no more objects found than false findings explain"
    elif density.positive and not density.certain:
        flags.append("within_varying_false_findings")
        meaning = "few acid-fast bacilli seen, to be confirmed"
        reasons.append(
            f"To be confirmed, whatever their density: a slide with {number(grading.false_rate_spread)} times the "
            "usual false findings would explain them."
        )
    return replace(
        draft,
        category=graded.name,
        title=title(graded.name, meaning),
        reasons=(*reasons, *assessed.too_little, *_model_reasons(density), *assessed.remarks, closing(assay)),
        provisional=provisional,
        score=squash(excess(density.n, density.expected_false + _SCORE_FLOOR), _SCORE_CENTRE, _SCORE_HALF_SCALE),
        also={other.name: _grade_in(other, density).name for other in grading.tables[1:]},
        flags=tuple(flags),
    )


def _rounded(hpf: float) -> float:
    return round(hpf, 6)


def _grade_in(table: DensityTable, density: Density) -> tables.Grade:
    return tables.grade(
        table,
        positive=density.positive,
        n=density.n,
        net=density.net,
        per_100_hpf=density.corrected(density.n),
        certain=density.certain,
    )


def _figures(density: Density) -> dict[str, float]:
    low, high = poisson.interval(density.n)
    figures = {
        "hpf_area_mm2": density.hpf_mm2,
        "hpf_read": density.hpf,
        "sensitivity": density.sensitivity,
        "expected_false_findings": density.expected_false,
        "false_findings_probability": density.probability,
    }
    if density.area_mm2 > 0:
        figures |= {
            "afb_per_mm2": density.net / density.sensitivity / density.area_mm2,
            "afb_per_100_hpf_raw": density.per_100_hpf(density.n),
            "afb_per_100_hpf": density.corrected(density.n),
            "afb_per_100_hpf_low": density.corrected(low),
            "afb_per_100_hpf_high": density.corrected(high),
        }
        if not density.positive:
            # False findings are not taken away here: the bound must hold even if there were none.
            figures["upper_bound_per_100_hpf"] = density.per_100_hpf(high) / density.sensitivity
    return figures


def _main_reason(graded: tables.Grade, density: Density) -> str:
    read = f"{number(density.hpf)} high-power fields ({number(density.area_mm2)} mm²)"
    if not density.positive:
        bound = density.per_100_hpf(poisson.interval(density.n)[1]) / density.sensitivity
        seen = "No acid-fast bacilli were found"
        if density.n > 0:
            seen = f"{plural(density.n, 'object')} called acid-fast, no more than false findings explain,"
        return f"{seen} in {read}; with 95 % confidence there are fewer than {number(bound)} in 100 fields."
    figure = number(density.corrected(density.n))
    # A density is no grade where the objects are still to be confirmed.
    grade = f", which is {graded.name}" if graded.by_density else ""
    return f"{_objects(density.n)} found in {read}: {figure} in 100 high-power fields{grade}."


def _model_reasons(density: Density) -> list[str]:
    reasons = []
    if density.n > 0:
        reasons.append(
            f"As counted: {number(density.per_100_hpf(density.n))} in 100 fields. Expected false findings on this "
            f"area: {number(density.expected_false)}; the chance that they alone give {density.n} or more is "
            f"{chance(density.probability)}. Sensitivity of the engine: {number(density.sensitivity)}."
        )
    reasons.append(f"One high-power field is taken as {density.hpf_mm2:.4f} mm².")
    return reasons


def _too_little(grading: AfbGrading, density: Density) -> str:
    return (
        f"Too little area: {number(density.hpf)} high-power fields were read; "
        f"at least {number(grading.negative_hpf)} are needed to call a slide negative."
    )


def _refuse(draft: Verdict, assay: Assay, assessed: Assessment, density: Density, refusals: Sequence[str]) -> Verdict:
    reasons = list(refusals)
    flags = list(assessed.flags)
    if density.n > 0:
        strength = "more than" if density.positive else "no more than"
        reasons.insert(
            1,
            f"{_objects(density.n)} found in what could be read ({number(density.hpf)} high-power fields), {strength} "
            f"false findings explain: look at the pictures of the findings before the slide is repeated.",
        )
        flags.append("findings_on_unsatisfactory_slide")
    return replace(
        draft,
        reasons=(*reasons, *(_model_reasons(density) if assessed.fields else ()), *assessed.remarks, closing(assay)),
        flags=tuple(flags),
    )


def _objects(n: int) -> str:
    return f"{plural(n, 'acid-fast bacillus', 'acid-fast bacilli')} {'was' if n == 1 else 'were'}"
