"""The density of objects on a smear: counts and area in high-power fields, corrected for the engine's errors.

Two-rate model: N ~ Poisson(S rho A + L A), with S the engine's sensitivity, L its false findings per mm², A the area.
A slide is positive if P(N >= n | L A) is below the assay's significance; its density is rho = (N - L A) / (S A). L
varies between slides: a count that f L A would explain, f the assay's spread of false rates, is to be confirmed and
gets no grade by its density, since with a small S three findings would already be 1+.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.assays.model import AfbGrading, Assay
from appliance.records import Finding
from appliance.verdict import poisson
from appliance.verdict.adequacy import Assessment
from engines.scorer import OperatingPoint


@dataclass(frozen=True)
class Density:
    """The two-rate model's numbers for one slide.

    hpf: high-power fields to which the area read is equal. expected_false: false findings on that area; probability:
    that they alone give n or more. positive: more was seen than they explain; certain: even where they are unusually
    many.
    """

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
        """Objects counted, less the expected false findings."""
        return max(0.0, self.n - self.expected_false)

    def per_100_hpf(self, objects: float) -> float:
        """Objects on the area read, as a number in 100 high-power fields."""
        return 100.0 * max(0.0, objects) / self.hpf if self.hpf > 0 else 0.0

    def corrected(self, objects: float) -> float:
        """The same after taking away false findings and allowing for missed ones."""
        return self.per_100_hpf(objects - self.expected_false) / self.sensitivity


def measure(
    assay: Assay, grading: AfbGrading, assessed: Assessment, findings: Sequence[Finding], point: OperatingPoint
) -> Density:
    """Counts and area of what was read, in the model's terms; `point.sensitivity` must be above 0."""
    n = sum(assessed.count(name, findings, point.threshold) for name in assay.labels.targets)
    hpf_mm2 = grading.high_power_field.area_mm2
    expected = point.false_per_mm2 * assessed.area_mm2
    probability = poisson.probability_of_at_least(n, expected)
    return Density(
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
