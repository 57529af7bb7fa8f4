"""Measure what a second plane costs and gains: whole scans of twin slides in simulated time.

Stage and camera take what their motion, settling, exposure and readout take; drawing and scoring cost nothing, since
the reader works in a thread of its own. What second planes cost is the difference between two replays of the scan's
places and heights on the same stage, with them and without. The truth is read here alone.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from appliance.assays import Assay
from appliance.assays.model import SecondPlaneRule
from appliance.cli.bench_figures import exact_share
from appliance.cli.bench_reading import Job, run_of
from appliance.cli.plain_console import plain_console
from appliance.cli.scoring import scorer
from appliance.cli.twin_plan import whole_plan_over
from appliance.cli.twin_session import TwinSlide
from appliance.errors import SettingsError
from appliance.journal import Journal
from appliance.records import Finding, Outcome, SlideRun
from appliance.scan.events import FieldDone, ScanListener, SecondPlaneDone
from appliance.scan.focus.axial import AxialCurve
from appliance.scan.focus.curve_file import load_curve
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.interpret import ReadingRules
from appliance.scan.plan import Plan
from appliance.scan.reader import Reader
from appliance.scan.rig import Rig
from appliance.scan.scanner import scan
from appliance.scan.second_plane import SecondPlanes
from appliance.settings import Settings
from appliance.verdict import form_verdict
from drivers.camera.frame import CameraSettings
from drivers.stage import standard_stage
from drivers.twin.mechanics import Mechanics
from drivers.twin.settings import TwinSettings
from drivers.twin.slide import CLUSTER, SceneObject
from drivers.twin.virtual import FieldShelf, Truth, VirtualCamera, VirtualClock, VirtualMicroscope, VirtualStage
from engines.package import EnginePackage
from engines.scorer import Scorer

STANDS_UM = 3.0
"""A ball stands above the carpet where its middle lies so far above the height at which the field is sharpest."""
_RIM_UM = 5.0
"""How far beyond a ball's box a finding may lie and still be part of it."""


@dataclass(frozen=True)
class Ball:
    """A malignant ball above the carpet of a usable field. above_um: its middle over best focus.

    first: highest probability given to it in the first plane. second: in the second, None where none was taken.
    """

    above_um: float
    width_um: float
    first: float
    second: float | None

    @property
    def better(self) -> float:
        """The higher of the two."""
        return self.first if self.second is None else max(self.first, self.second)


@dataclass(frozen=True)
class Reading:
    """One slide, read in one plane and in two.

    findings: those that count. exposures, seconds, findings, category, score: without second planes and with them.
    """

    seed: int
    malignant: float | None
    fields: int
    second_planes: int
    exposures: dict[str, int]
    seconds: dict[str, float]
    findings: dict[str, int]
    category: dict[str, str]
    score: dict[str, float | None]
    balls: list[Ball] = field(default_factory=list)


@dataclass(frozen=True)
class Visit:
    """Where a frame was kept, and whether it is a second plane."""

    x_um: float
    y_um: float
    z_um: float
    again: bool


@dataclass
class Watch(ScanListener):
    """Everything a scan reports. visits: in the order in which they were made."""

    done: list[FieldDone] = field(default_factory=list)
    again: list[SecondPlaneDone] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)

    def field_done(self, done: FieldDone) -> None:
        """One more field."""
        self.done.append(done)
        self.visits.append(Visit(done.record.x_um, done.record.y_um, done.record.focus.z_um, again=False))

    def second_plane_done(self, done: SecondPlaneDone) -> None:
        """One more second plane."""
        self.again.append(done)
        if done.record.second is not None:
            self.visits.append(Visit(done.record.x_um, done.record.y_um, done.record.second.z_um, again=True))


@dataclass(frozen=True)
class Bench:
    """What all scans share. more: further twin settings as `a.b=value`."""

    assay: Assay
    rule: SecondPlaneRule
    settings: Settings
    curve: AxialCurve | None
    package: EnginePackage
    engine: Scorer
    more: tuple[str, ...] = ()


def bench_planes(
    assay: Assay,
    settings: Settings,
    slides: int,
    fields: int,
    seed: int,
    *,
    malignant: Sequence[float],
    curve: Path | None,
    more: Sequence[str] = (),
) -> dict[str, object]:
    """Cost and gain over `slides` slides; every second one has malignant cells, of these shares in turn.

    curve: file of the device's axial curve; without it every field is bracketed. more: further twin settings.
    Raises SettingsError where there is no such file or the assay has no second plane, PlanError where a slide holds no
    field.
    """
    rule = assay.reading.second_plane
    if rule is None:
        raise SettingsError(
            f"The assay {assay.name} reads one plane.",
            remedy="Give it reading.second_plane, to measure what that does.",
        )
    console = plain_console(errors=True)
    optics = FocusOptics(settings.optics.na, settings.optics.um_per_px)
    known = None if curve is None else load_curve(curve, optics)
    if curve is not None and known is None:
        raise SettingsError(f"There is no file {curve}.", remedy="Let `cytoscan bench focus --curve` make it.")
    readings = []
    with scorer(settings, assay) as opened:
        package, engine = opened.package, opened.scorer
        bench = Bench(assay, rule, settings, known, package, engine, tuple(more))
        for number in range(slides):
            share = malignant[number // 2 % len(malignant)] if number % 2 else None
            readings.append(_read(bench, fields, seed + number, share))
            one = readings[-1]
            console.print(
                f"slide {one.seed}: {one.fields} fields, {one.second_planes} second planes, findings "
                f"{one.findings['one']} → {one.findings['two']}, {one.category['one']} → {one.category['two']}"
            )
    return figures(readings, rule, package.operating_point.threshold)


def figures(readings: Sequence[Reading], rule: SecondPlaneRule, threshold: float) -> dict[str, object]:
    """Figures over all slides. Times in seconds; shares with exact 95 % intervals."""
    fields = sum(r.fields for r in readings)
    balls = [ball for r in readings for ball in r.balls]
    negative = [r for r in readings if r.malignant is None]
    return {
        "rule": rule.model_dump(),
        "slides": len(readings),
        "fields": fields,
        "second_planes_per_field": sum(r.second_planes for r in readings) / fields,
        "exposures_per_field": {k: sum(r.exposures[k] for r in readings) / fields for k in ("one", "two")},
        "seconds_per_field": {k: sum(r.seconds[k] for r in readings) / fields for k in ("one", "two")},
        "balls": _gain(balls, threshold),
        "balls_seen_twice": _gain([ball for ball in balls if ball.second is not None], threshold),
        "negative_slides": len(negative),
        "false_findings": {k: sum(r.findings[k] for r in negative) for k in ("one", "two")},
        "readings": [asdict(r) for r in readings],
    }


def _gain(balls: Sequence[Ball], threshold: float) -> dict[str, object]:
    found = {"one": sum(b.first >= threshold for b in balls), "two": sum(b.better >= threshold for b in balls)}
    return {
        "balls": len(balls),
        "mean_probability": {
            "one": float(np.mean([b.first for b in balls])) if balls else None,
            "two": float(np.mean([b.better for b in balls])) if balls else None,
        },
        "found": {k: exact_share(n, len(balls)) for k, n in found.items()},
    }


def _read(bench: Bench, fields: int, seed: int, malignant: float | None) -> Reading:
    twin = TwinSlide(bench.assay.name, 450, seed, malignant=malignant, more=bench.more).settings()
    shelf = FieldShelf(twin)
    plan = whole_plan_over(shelf, fields)
    job = Job(bench.assay, bench.settings, fields, seed, malignant, None, 450)
    run = run_of(job, bench.settings.optics, plan, bench.engine.backend)
    focus = bench.settings.focus.model_copy(update={"reference_z_um": twin.reference_z_um})
    settings = bench.settings.model_copy(update={"focus": focus})
    scope, watch = VirtualMicroscope(shelf), Watch()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Journal.open(Path(folder) / "journal") as journal:
        journal.begin(run, plan.to_json())
        _scan(bench, settings, scope, plan, run, journal, watch)
        after = (journal.fields(run.run_id), journal.findings(run.run_id))
    before = ([done.record for done in watch.done], [finding for done in watch.done for finding in done.findings])
    point = bench.package.operating_point
    verdicts = {
        name: form_verdict(bench.assay, run, records, findings, point)
        for name, (records, findings) in {"one": before, "two": after}.items()
    }
    targets = bench.assay.labels.targets
    extra = sum(done.meter.exposures for done in watch.again)
    more_s = replayed_s(twin, watch.visits) - replayed_s(twin, [visit for visit in watch.visits if not visit.again])
    return Reading(
        seed=seed,
        malignant=malignant,
        fields=len(plan.fields),
        second_planes=len(watch.again),
        exposures={"one": scope.camera.exposures - extra, "two": scope.camera.exposures},
        seconds={"one": scope.clock.now_s - more_s, "two": scope.clock.now_s},
        findings={name: sum(verdict.counts[t].n for t in targets) for name, verdict in verdicts.items()},
        category={name: verdict.category for name, verdict in verdicts.items()},
        score={name: verdict.score for name, verdict in verdicts.items()},
        balls=balls_of(watch, scope.truths, run, targets),
    )


def _scan(
    bench: Bench,
    settings: Settings,
    scope: VirtualMicroscope,
    plan: Plan,
    run: SlideRun,
    journal: Journal,
    watch: Watch,
) -> None:
    """As `appliance.cli.reading` does it."""
    manifest, point = bench.package.manifest, bench.package.operating_point
    reader = Reader(
        run,
        bench.engine,
        journal,
        ReadingRules(bench.assay.labels.targets, point.threshold, manifest.report_threshold, settings.scan.keep_top),
        queue_length=settings.scan.queue_length,
        done=watch.field_done,
        planes=SecondPlanes(bench.rule, settings.focus, len(plan.fields)),
        done_again=watch.second_plane_done,
    )
    exposure = CameraSettings(settings.camera.exposure_ms, settings.camera.gain_db)
    rig = Rig(scope.stage, scope.camera, exposure, clock=scope.clock)
    try:
        scan(rig, plan, set(), settings, reader, watch, threading.Event(), bench.curve)
    finally:
        reader.close()


def replayed_s(twin: TwinSettings, visits: Sequence[Visit]) -> float:
    """Simulated seconds to go to all these places in turn and expose once at each, nothing being drawn."""
    clock = VirtualClock()
    stage = VirtualStage(standard_stage("replay"), Mechanics(twin.mechanics, clock), clock)
    nothing = np.zeros((twin.camera.height_px, twin.camera.width_px), np.uint8)
    camera = VirtualCamera(twin.camera, "replay", clock, lambda *_: nothing)
    rig = Rig(stage, camera, CameraSettings(twin.camera.nominal_exposure_ms), clock=clock)
    for visit in visits:
        rig.go_to(visit.x_um, visit.y_um, visit.z_um)
        rig.expose_at(visit.z_um)
    return clock.now_s


def balls_of(watch: Watch, truths: dict[int, Truth], run: SlideRun, targets: Sequence[str]) -> list[Ball]:
    """The malignant balls above the carpet of all usable fields, by the truth of their frames."""
    again = {done.record.index: done for done in watch.again}
    balls = []
    for done in watch.done:
        if done.record.outcome is not Outcome.USABLE or done.frame_id is None:
            continue
        truth, second = truths[done.frame_id], again.get(done.record.index)
        twice = second is not None and second.frame_id is not None
        for item in truth.objects:
            above_um = truth.best_um - truth.surface_um - item.z_um
            if item.kind != CLUSTER or not item.malignant or above_um < STANDS_UM:
                continue
            first = _best(done.findings, item, truth, run, targets)
            other = None
            if twice and second is not None and second.frame_id is not None:
                other = _best(second.findings, item, truths[second.frame_id], run, targets)
            balls.append(Ball(above_um, max(item.width_um, item.height_um), first, other))
    return balls


def _best(findings: Sequence[Finding], ball: SceneObject, truth: Truth, run: SlideRun, targets: Sequence[str]) -> float:
    """Highest probability of a target within a ball's box; pixels count from where the frame truly was."""
    middle_x, middle_y = (run.field_width_um / run.um_per_px - 1) / 2, (run.field_height_um / run.um_per_px - 1) / 2
    return max(
        (
            f.probability
            for f in findings
            if f.label in targets
            and abs((f.x_px - middle_x) * run.um_per_px + truth.x_um - ball.x_um) <= ball.width_um / 2 + _RIM_UM
            and abs((f.y_px - middle_y) * run.um_per_px + truth.y_um - ball.y_um) <= ball.height_um / 2 + _RIM_UM
        ),
        default=0.0,
    )
