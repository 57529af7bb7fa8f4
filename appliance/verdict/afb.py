"""Acid-fast bacilli: from counts and area to a grade.

Fields of a camera are not a microscope's fields, so everything goes by density: the area read, divided by the area of
one high-power field (which is printed), gives equivalent fields.

Two-rate model: N ~ Poisson(S rho A + L A), with S the engine's sensitivity, L its false findings per mm², A the area.
A slide is positive if P(N >= n | L A) is below the assay's significance; its density is rho = (N - L A) / (S A). L
varies between slides: a count that f L A would explain, f the assay's spread of false rates, is to be confirmed and
gets no grade by its density, since with a small S three findings would already be 1+.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from appliance.assays.model import AfbGrading, Assay, DensityTable
from appliance.records import Finding
from appliance.verdict import poisson, tables
from appliance.verdict.adequacy import Assessment
from appliance.verdict.evidence import excess, squash
from appliance.verdict.model import UNSATISFACTORY, Verdict
from appliance.verdict.wording import chance, closing, number, plural, title
from engines.scorer import OperatingPoint

# Half an object: keeps the score finite where no false finding is expected at all.
_SCORE_FLOOR = 0.5
_SCORE_CENTRE = 0.0
_SCORE_HALF_SCALE = 3.0


@dataclass(frozen=True)
class _Density:
    """The two-rate model's numbers for one slide."""

    n: int
    area_mm2: float
    hpf: float
    hpf_mm2: float
    expected_false: float
    probability: float
    sensitivity: float
    positive: bool
    certain: bool

    @property
    def net(self) -> float:
        return max(0.0, self.n - self.expected_false)

    def per_100_hpf(self, objects: float) -> float:
        """Objects on the area read, as a number in 100 high-power fields."""
        return 100.0 * max(0.0, objects) / self.hpf if self.hpf > 0 else 0.0

    def corrected(self, objects: float) -> float:
        """The same after taking away false findings and allowing for missed ones."""
        return self.per_100_hpf(objects - self.expected_false) / self.sensitivity


def grade_afb(
    assay: Assay, grading: AfbGrading, assessed: Assessment, findings: Sequence[Finding], point: OperatingPoint
) -> Verdict:
    """The verdict on one sputum slide; `point.sensitivity` must be above 0."""
    density = _measure(assay, grading, assessed, findings, point)
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
    if density.hpf < _rounded(grading.recommended_hpf):
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


def _measure(
    assay: Assay, grading: AfbGrading, assessed: Assessment, findings: Sequence[Finding], point: OperatingPoint
) -> _Density:
    n = sum(assessed.count(name, findings, point.threshold) for name in assay.labels.targets)
    hpf_mm2 = grading.high_power_field.area_mm2
    expected = point.false_per_mm2 * assessed.area_mm2
    probability = poisson.probability_of_at_least(n, expected)
    return _Density(
        n=n,
        area_mm2=assessed.area_mm2,
        hpf=round(assessed.area_mm2 / hpf_mm2, 6),
        hpf_mm2=hpf_mm2,
        expected_false=expected,
        probability=probability,
        sensitivity=point.sensitivity,
        positive=n > 0 and probability < grading.significance,
        certain=poisson.probability_of_at_least(n, grading.false_rate_spread * expected) < grading.significance,
    )


def _rounded(hpf: float) -> float:
    return round(hpf, 6)


def _grade_in(table: DensityTable, density: _Density) -> tables.Grade:
    return tables.grade(
        table,
        positive=density.positive,
        n=density.n,
        net=density.net,
        per_100_hpf=density.corrected(density.n),
        certain=density.certain,
    )


def _figures(density: _Density) -> dict[str, float]:
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


def _main_reason(graded: tables.Grade, density: _Density) -> str:
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


def _model_reasons(density: _Density) -> list[str]:
    reasons = []
    if density.n > 0:
        reasons.append(
            f"As counted: {number(density.per_100_hpf(density.n))} in 100 fields. Expected false findings on this "
            f"area: {number(density.expected_false)}; the chance that they alone give {density.n} or more is "
            f"{chance(density.probability)}. Sensitivity of the engine: {number(density.sensitivity)}."
        )
    reasons.append(f"One high-power field is taken as {density.hpf_mm2:.4f} mm².")
    return reasons


def _too_little(grading: AfbGrading, density: _Density) -> str:
    return (
        f"Too little area: {number(density.hpf)} high-power fields were read; "
        f"at least {number(grading.negative_hpf)} are needed to call a slide negative."
    )


def _refuse(draft: Verdict, assay: Assay, assessed: Assessment, density: _Density, refusals: Sequence[str]) -> Verdict:
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
