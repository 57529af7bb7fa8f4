"""Measure sequential stopping: simulated smears read field by field, with the assay's rule and its verdict.

Numbers only, no pictures. Density of a field, whose mean over the plan is the slide's own:

    clumping     gamma of shape 0.4 per 0.05 mm², each field its own, as on the twin (domain reference 6.2)
    unevenness   gamma with mean 1, alike in neighbours: its normal scores correlate as exp(-distance / range)
    slope        exponential from the first row to the last, up to e² times as dense at either

Counts are Poisson about sensitivity x density + false findings, at the operating point of the shipped engine.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone

import numpy as np
from scipy import stats

from appliance.assays import Assay
from appliance.assays.model import AfbGrading, DensityTable
from appliance.cli.bench_figures import Floats, exact_share
from appliance.cli.bench_reading import Job, Magnification, run_of
from appliance.cli.scoring import engine_folder
from appliance.records import FieldRecord, FocusResult, Outcome, SlideRun
from appliance.scan.plan import Plan, PlannedField, Region, Shape, make_plan
from appliance.scan.reader import IN_HAND
from appliance.settings import OpticsSection, Settings
from appliance.verdict import form_verdict, tables
from appliance.verdict.stopping import early_ending, looks
from drivers.twin.settings import CameraModel
from drivers.twin.slide.settings import SputumSettings
from engines.package import load_package
from engines.scorer import BackendInfo, OperatingPoint

_MAGNIFICATIONS: tuple[Magnification, ...] = (900, 450)
# Density over the limit of the highest grade, log-uniform: every second slide near it, one in four far to each side.
_TIMES_LIMIT = ((0.25, 4.0), (4.0, 40.0), (0.25, 4.0), (0.001, 0.25))
_EDGES = (0.001, 0.25, 0.5, 1.0, 1.5, 2.0, 4.0, 8.0, 40.0)
_RANGES_UM = (500.0, 2_000.0, 8_000.0)
_UNEVENNESS_CV = (0.2, 1.0)
_SLOPE = 2.0
_CLUMPING_MM2 = 0.05


@dataclass(frozen=True)
class StoppedSlide:
    """One simulated reading.

    times_limit: its density over the limit of the highest grade. truth: the grade of its density; whole: of the whole
    plan as counted; said: by the verdict on what was visited. stopped: the rule ended it after so many fields.
    """

    times_limit: float
    truth: str
    whole: str
    said: str
    stopped: bool
    visited: int
    range_um: float
    unevenness_cv: float


def bench_stopping(assay: Assay, grading: AfbGrading, settings: Settings, slides: int, seed: int) -> dict[str, object]:
    """Stops, wrong stops and fields saved over `slides` smears at each magnification; shares have 95 % intervals."""
    figures: dict[str, object] = {"assay": assay.name, "slides": slides, "seed": seed}
    if grading.stop_early is not None:
        figures["rule"] = grading.stop_early.model_dump()
    for magnification in _MAGNIFICATIONS:
        smear = _Smear(assay, grading, settings, magnification)
        rng = np.random.default_rng([seed, magnification])
        read = [smear.read(number, rng) for number in range(slides)]
        figures[f"{magnification}x"] = {
            "planned_fields": smear.run.planned_fields,
            "looks": list(looks(grading, smear.run)),
            "sensitivity": smear.point.sensitivity,
            "false_per_mm2": smear.point.false_per_mm2,
            **summary(read, smear.run.planned_fields, grading.tables[0]),
        }
    return figures


def summary(read: Sequence[StoppedSlide], planned: int, table: DensityTable) -> dict[str, object]:
    """Figures of one magnification; [share, lower bound, upper bound]. fields_saved: of all fields planned."""
    top = table.rows[-1].grade
    stopped = [slide for slide in read if slide.stopped]
    below = [slide for slide in read if slide.truth != top]
    visited = sum(slide.visited for slide in read)
    return {
        "stopped": len(stopped),
        "wrong_by_whole_plan": exact_share(sum(slide.whole != top for slide in stopped), len(stopped)),
        "wrong_by_truth": exact_share(sum(slide.truth != top for slide in stopped), len(stopped)),
        "stopped_of_lower_grades": exact_share(sum(slide.stopped for slide in below), len(below)),
        "stopped_and_not_said_so": sum(slide.said != top for slide in stopped),
        "fields_saved": 1.0 - visited / (planned * len(read)),
        "by_true_grade": {
            row.grade: _group([slide for slide in read if slide.truth == row.grade]) for row in table.rows
        },
        "by_times_limit": {
            f"{low:g} to {high:g}": _group([slide for slide in read if low < slide.times_limit <= high])
            for low, high in itertools.pairwise(_EDGES)
        },
        "wrong": [asdict(slide) for slide in stopped if not slide.whole == slide.truth == top],
    }


def _group(own: Sequence[StoppedSlide]) -> dict[str, object]:
    visited = [slide.visited for slide in own]
    return {
        "slides": len(own),
        "stopped": exact_share(sum(slide.stopped for slide in own), len(own)),
        "mean_fields_visited": round(sum(visited) / len(visited), 1) if visited else None,
    }


class _Smear:
    """A plan on a smear of the twin's usual size, and what reading it takes."""

    def __init__(self, assay: Assay, grading: AfbGrading, settings: Settings, magnification: Magnification) -> None:
        optics, camera, size = OpticsSection(magnification=magnification), CameraModel(), SputumSettings()
        width_um, height_um = camera.width_px * optics.um_per_px, camera.height_px * optics.um_per_px
        region = Region(0.0, 0.0, size.width_um, size.height_um, Shape.RECTANGLE)
        fields = assay.reading.fields_to_read(width_um, height_um)
        own = settings.model_copy(update={"optics": optics})
        package = load_package(engine_folder(own, assay))
        backend = BackendInfo("none", package.title, "", "simulated")
        self.plan: Plan = make_plan(assay.name, region, width_um, height_um, fields=fields)
        self.run: SlideRun = run_of(Job(assay, own, fields, 0, None, None, magnification), optics, self.plan, backend)
        self.point: OperatingPoint = package.operating_point
        self._assay = assay
        self._grading = grading
        self._waiting = settings.scan.queue_length + IN_HAND
        self._blank = size.blank_share
        self._clumping = size.clumping
        y_um = np.array([field.y_um for field in self.plan.fields])
        self._down = (y_um - y_um.min()) / np.ptp(y_um)
        self._factors = [_factor(self.plan, range_um) for range_um in _RANGES_UM]

    def read(self, number: int, rng: np.random.Generator) -> StoppedSlide:
        """Draw one slide, and read it until the rule ends that or the plan does."""
        row = self._grading.tables[0].rows[-1]
        low, high = _TIMES_LIMIT[number % len(_TIMES_LIMIT)]
        times = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        cv = float(rng.uniform(*_UNEVENNESS_CV))
        which = number // len(_TIMES_LIMIT) % len(_RANGES_UM)
        per_100_hpf = times * row.bound_per_100_hpf
        records = self._records(per_100_hpf, cv, self._factors[which], rng)
        visited = self._visited(records)
        verdict = form_verdict(self._assay, self.run, records[:visited], (), self.point)
        whole = form_verdict(self._assay, self.run, records, (), self.point)
        truth = _true_grade(self._grading.tables[0], per_100_hpf)
        return StoppedSlide(
            times, truth, whole.category, verdict.category, verdict.stopped_early, visited, _RANGES_UM[which], cv
        )

    def _records(self, per_100_hpf: float, cv: float, factor: Floats, rng: np.random.Generator) -> list[FieldRecord]:
        fields = len(self.plan.fields)
        field_mm2 = self.plan.field_width_um * self.plan.field_height_um / 1e6
        shape, clumps = 1.0 / cv**2, self._clumping * field_mm2 / _CLUMPING_MM2
        uneven = stats.gamma.ppf(stats.norm.cdf(factor @ rng.standard_normal(fields)), shape)
        blank = rng.random(fields) < self._blank
        slope = np.exp(rng.uniform(-_SLOPE, _SLOPE) * self._down)
        density = np.where(blank, 0.0, uneven * slope * rng.gamma(clumps, size=fields))
        density *= per_100_hpf / 100.0 / self._grading.high_power_field.area_mm2 / density[~blank].mean()
        counts = rng.poisson((self.point.sensitivity * density + self.point.false_per_mm2) * field_mm2)
        target = self._assay.labels.targets[0]
        return [
            _record(planned, None if empty else {target: int(n)})
            for planned, n, empty in zip(self.plan.fields, counts, blank, strict=True)
        ]

    def _visited(self, records: Sequence[FieldRecord]) -> int:
        """Fields recorded when the reading ends: those in the queue and in hand at the look are recorded as well."""
        for look in looks(self._grading, self.run):
            if early_ending(self._assay, self.run, records[:look], self.point) is None:
                continue
            visited = min(look + self._waiting, len(records))
            if early_ending(self._assay, self.run, records[:visited], self.point) is not None:
                return visited
        return len(records)


def _record(planned: PlannedField, counts: dict[str, int] | None) -> FieldRecord:
    """A field with its counts, or blank."""
    outcome, reason = (Outcome.BLANK, "blank") if counts is None else (Outcome.USABLE, "")
    focus = FocusResult(0.0, 0.0, 1.0, "simulated", 1)
    now = datetime.now(timezone.utc)
    return FieldRecord(planned.index, planned.x_um, planned.y_um, outcome, reason, focus, None, counts or {}, {}, now)


def _factor(plan: Plan, range_um: float) -> Floats:
    """Makes independent normal scores alike in neighbours: Cholesky factor of exp(-distance / range)."""
    at = np.array([(field.x_um, field.y_um) for field in plan.fields])
    distance = np.hypot(*(at[:, None] - at[None, :]).transpose(2, 0, 1))
    return np.linalg.cholesky(np.exp(-distance / range_um) + 1e-9 * np.eye(len(at)))


def _true_grade(table: DensityTable, per_100_hpf: float) -> str:
    """The grade of a density known without error."""
    few = table.few_below
    return tables.grade(table, positive=True, n=few, net=float(few), per_100_hpf=per_100_hpf).name
