"""Read one twin slide in-process, near focus: pictures from the twin's optics and sensor, verdict by the appliance.

Stage, controller and focus search are left out, so that many slides fit in minutes (`bench scan` measures those).
Defocus is drawn within half a depth of field.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from multiprocessing import get_context, parent_process
from typing import Literal

import numpy as np

import appliance
from appliance.assays import Assay
from appliance.cli.plain_console import plain_console
from appliance.cli.scoring import scorer
from appliance.cli.twin_session import TwinSlide
from appliance.records import FieldRecord, Finding, FocusResult, Outcome, SlideRun
from appliance.scan.interpret import Interpretation, ReadingRules, begin_scoring, interpret, judge_picture
from appliance.scan.plan import Plan, PlannedField, Region, Shape, make_plan
from appliance.settings import OpticsSection, Settings
from appliance.verdict import form_verdict
from drivers.twin.imaging import render_rgb
from drivers.twin.settings import CameraModel
from drivers.twin.slide.make import make_slide
from engines.scorer import BackendInfo

Magnification = Literal[450, 900]
DEFOCUS_SIGMA_DOF = 0.2


@dataclass(frozen=True)
class Job:
    """One slide to read: its seed, how many fields, and what it carries (None: nothing the assay looks for)."""

    assay: Assay
    settings: Settings
    fields: int
    seed: int
    malignant: float | None
    afb_per_hpf: float | None
    magnification: Magnification

    @property
    def positive(self) -> bool:
        """Whether the slide carries what the assay looks for."""
        return self.malignant is not None or self.afb_per_hpf is not None


def half_positive(first: Job, slides: int, *, malignant: Sequence[float], afb_per_hpf: float) -> list[Job]:
    """`slides` slides like `first`, which carries nothing, with seeds from its own on; every second one is positive.

    malignant: the shares that serous ones carry, in turn. afb_per_hpf: what smears carry.
    """
    smears = first.assay.name == "afb"
    return [
        replace(
            first,
            seed=first.seed + number,
            malignant=malignant[number // 2 % len(malignant)] if number % 2 and not smears else None,
            afb_per_hpf=afb_per_hpf if number % 2 and smears else None,
        )
        for number in range(slides)
    ]


@dataclass(frozen=True)
class SlideScore:
    """What the verdict said of one slide. score: ranks slides; the verdict's own, or the count where it has none.

    lying: targets whose centre lies in the fields read, by the twin's truth. area_mm2: of those fields. onnx_sha256:
    the network that scored them.
    """

    seed: int
    positive: bool
    category: str
    score: float
    counts: dict[str, int]
    lying: int
    area_mm2: float
    onnx_sha256: str


def read_slides(jobs: Sequence[Job]) -> Iterator[SlideScore]:
    """Every job's slide, in order, one process a core; a line about each on the error stream."""
    console = plain_console(errors=True)
    context = get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context, initializer=_end_with_the_bench) as pool:
        for score in pool.map(read_in_process, jobs):
            truth = f"{score.lying} targets in its fields" if score.positive else "negative"
            said = f"slide {score.seed} ({truth}): {score.category}, score {score.score:.3f}, {score.counts}"
            console.print(said)
            yield score


def _end_with_the_bench() -> None:
    """In a worker: one whose bench was killed would finish its slides, and then wait for ever for the next."""

    def watch() -> None:
        bench = parent_process()
        if bench is not None:
            bench.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def read_in_process(job: Job) -> SlideScore:
    """Render, score and judge one slide."""
    magnification = job.magnification
    lying = TwinSlide(job.assay.name, magnification, job.seed, malignant=job.malignant, afb_per_hpf=job.afb_per_hpf)
    optics, camera = OpticsSection(magnification=magnification), CameraModel()
    slide = make_slide(lying.settings().slide, job.seed)
    area = slide.specimen
    region = Region(
        area.x_um + area.width_um / 2,
        area.y_um + area.height_um / 2,
        area.width_um,
        area.height_um,
        Shape.ELLIPSE if job.assay.name == "serous" else Shape.RECTANGLE,
    )
    width_um, height_um = camera.width_px * optics.um_per_px, camera.height_px * optics.um_per_px
    plan = make_plan(job.assay.name, region, width_um, height_um, fields=job.fields)
    rng = np.random.default_rng(job.seed)
    records: list[FieldRecord] = []
    findings: list[Finding] = []
    targets = 0
    settings = job.settings.model_copy(update={"optics": optics})
    with scorer(settings, job.assay) as opened:
        package, engine = opened.package, opened.scorer
        run = run_of(job, optics, plan, engine.backend)
        point = package.operating_point
        rules = ReadingRules(job.assay.labels.targets, point.threshold, package.manifest.report_threshold, keep_top=0)
        for planned in plan.fields:
            rgb, objects = render_rgb(
                slide,
                planned.x_um,
                planned.y_um,
                width_px=camera.width_px,
                height_px=camera.height_px,
                um_per_px=optics.um_per_px,
                na=optics.na,
                defocus_um=float(rng.normal(0, DEFOCUS_SIGMA_DOF)) * optics.dof_um,
                rng=rng,
            )
            targets += sum(item.kind == "afb" or (item.malignant and item.kind != "cluster") for item in objects)
            judged = judge_picture(rgb, Outcome.USABLE, "")
            found = begin_scoring(judged, rgb, engine, run.um_per_px)()
            read = interpret(judged, found, planned, 0.0, run=run, rules=rules)
            records.append(_record(planned, read))
            findings.extend(read.findings)
    verdict = form_verdict(job.assay, run, records, findings, point)
    counts = {label: count.n for label, count in verdict.counts.items()}
    score = verdict.score if verdict.score is not None else float(sum(counts[t] for t in job.assay.labels.targets))
    return SlideScore(
        job.seed, job.positive, verdict.category, score, counts, targets, verdict.area_mm2, run.onnx_sha256
    )


def _record(planned: PlannedField, read: Interpretation) -> FieldRecord:
    focus = FocusResult(0.0, 0.0, 1.0, "rendered near focus", 1)
    now = datetime.now(timezone.utc)
    return FieldRecord(
        planned.index, planned.x_um, planned.y_um, read.outcome, read.reason, focus, read.quality, read.counts, {}, now
    )


def run_of(job: Job, optics: OpticsSection, plan: Plan, backend: BackendInfo) -> SlideRun:
    """The run of a bench's slide."""
    return SlideRun(
        run_id=f"bench-{job.seed}",
        accession=f"BENCH-{job.seed}",
        slide="A1",
        run=1,
        assay=job.assay.name,
        magnification=optics.magnification,
        na=optics.na,
        um_per_px=optics.um_per_px,
        field_width_um=plan.field_width_um,
        field_height_um=plan.field_height_um,
        planned_fields=len(plan.fields),
        plan_sha256=plan.sha256,
        engine=backend.engine,
        backend=backend.runtime,
        onnx_sha256=backend.onnx_sha256,
        settings_sha256="",
        app_version=appliance.__version__,
        operator="bench",
        started_at=datetime.now(timezone.utc),
    )
