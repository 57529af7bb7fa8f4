"""Sequential stopping: when the highest grade is so certain that the rest of the plan need not be visited.

Bacilli lie in clumps and a smear is uneven, so that fields differ by more than chance and neighbours are alike; fields
come in serpentine order, so that the first ones are neighbours near one edge. With N objects in the m fields read, in
k = floor(m^(2/3)) runs of neighbours (batches) with N_j objects in m_j fields each:

    v = max(N, k / (k - 1) sum_j (N_j - m_j N / m)²)    variance of N, never less than Poisson's
    low = N exp(-t √v / N)                              lower bound, on the log scale because counts are skewed
    plan = (r + (1 - r) q) rho(low)                     lower bound of the density over the whole plan

t: Student's quantile with k - 1 degrees of freedom at 1 - (1 - certainty) / K for K looks; rho: the two-rate model of
`appliance.verdict.density`; r: share of the plan's fields that was read; q: the assay's `rest_at_least`, because no
spread among the first fields tells what the last ones hold where a smear thins out from row to row. The reading may end
when `plan` reaches the grade's limit and the slide's verdict, formed now, is that grade and stands.

Looks are taken after fixed numbers of fields, each half as many again as the one before. Sources: ratio estimate from
clusters, Cochran, Sampling Techniques, 1977; batches of about m^(1/3) fields, Flegal and Jones, Annals of Statistics 38
(2010), 1034; intervals that hold at all looks together (here by Bonferroni), Jennison and Turnbull, Group Sequential
Methods, 2000, chapter 9. The certainty is nominal: `cytoscan bench stopping` measures how often the rule is wrong.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

from appliance.assays.model import AfbGrading, Assay, StopEarly
from appliance.records import FieldRecord, SlideRun
from appliance.verdict.adequacy import Assessment, assess
from appliance.verdict.afb import grade_afb
from appliance.verdict.density import measure
from appliance.verdict.wording import number, percent
from engines.scorer import OperatingPoint

_STEP = 1.5
_MIN_FIELDS = 12  # five batches


@dataclass(frozen=True)
class EarlyEnding:
    """Why a reading may end. per_100_hpf: lower bound of the density over the whole plan; limit: the grade's own."""

    rule: StopEarly
    per_100_hpf: float
    limit_per_100_hpf: float

    def sentence(self, visited: int, planned: int) -> str:
        """The same for the person who reads the verdict."""
        return (
            f"Reading ended early, after {visited} of {planned} planned fields: {self.rule.grade} is certain. With "
            f"{percent(self.rule.certainty)} confidence the whole plan holds more than {number(self.per_100_hpf)} in "
            f"100 high-power fields ({self.rule.grade} begins at {number(self.limit_per_100_hpf)}), if the fields not "
            f"visited hold at least {percent(self.rule.rest_at_least)} of the density read."
        )


def may_end_early(assay: Assay) -> bool:
    """Whether the assay has a stopping rule at all."""
    return isinstance(assay.grading, AfbGrading) and assay.grading.stop_early is not None


def early_ending(
    assay: Assay, run: SlideRun, fields: Sequence[FieldRecord], point: OperatingPoint
) -> EarlyEnding | None:
    """Whether the reading may end with the fields recorded so far, in whatever order they come; None: read on.

    Pure: a resumed reading decides as the interrupted one did. None, too, where the whole plan is recorded, so that
    nothing is left to save, and for an assay without a stopping rule. `point.sensitivity` must be above 0.
    """
    grading = assay.grading
    if not isinstance(grading, AfbGrading) or grading.stop_early is None or len(fields) >= run.planned_fields:
        return None
    rule, row, times = grading.stop_early, grading.tables[0].rows[-1], looks(grading, run)
    if not times or len(fields) < times[0]:
        return None
    verdict = grade_afb(assay, grading, assess(assay, run, fields), (), point)
    if verdict.category != rule.grade or verdict.provisional:
        return None
    ordered = sorted(fields, key=lambda record: record.index)
    certainty = 1.0 - (1.0 - rule.certainty) / len(times)
    for visited in times:
        if visited > len(ordered):
            break
        assessed = assess(assay, run, ordered[:visited])
        low = measure(assay, grading, assessed, (), point).corrected(lower_bound(_counts(assay, assessed), certainty))
        read = len(assessed.fields) / run.planned_fields
        density = (read + (1.0 - read) * rule.rest_at_least) * low
        if row.begins_by(density):
            return EarlyEnding(rule, density, row.bound_per_100_hpf)
    return None


def looks(grading: AfbGrading, run: SlideRun) -> tuple[int, ...]:
    """Numbers of visited fields, ascending, after which a reading of this run may be found to be enough."""
    field_mm2 = run.field_width_um * run.field_height_um / 1e6
    least_mm2 = (grading.tables[0].rows[-1].min_hpf or 0.0) * grading.high_power_field.area_mm2
    visited = max(math.ceil(least_mm2 / field_mm2 - 1e-9), _MIN_FIELDS)
    times = []
    while visited < run.planned_fields:
        times.append(visited)
        visited = math.ceil(_STEP * visited)
    return tuple(times)


def lower_bound(counts: Sequence[int], certainty: float) -> float:
    """Lower bound of the number of objects expected in fields like these; 0 with fewer than 12 fields, or none found.

    counts: objects in each field, in the order of reading.
    """
    total, batches = sum(counts), int(len(counts) ** (2.0 / 3.0) + 1e-9)
    if total == 0 or len(counts) < _MIN_FIELDS:
        return 0.0
    edges = [len(counts) * j // batches for j in range(batches + 1)]
    mean = total / len(counts)
    spread = sum((sum(counts[a:b]) - (b - a) * mean) ** 2 for a, b in itertools.pairwise(edges))
    variance = max(float(total), batches / (batches - 1) * spread)
    t = float(stdtrit(batches - 1, certainty))
    return total * math.exp(-t * math.sqrt(variance) / total)


def _counts(assay: Assay, assessed: Assessment) -> list[int]:
    return [sum(record.counts.get(name, 0) for name in assay.labels.targets) for record in assessed.fields]
