"""Measure whole scans on the twin: time by part, exposures, focus against truth, efficiency."""

from __future__ import annotations

import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from appliance.assays import Assay
from appliance.cli.peak_memory import peak_mb
from appliance.cli.plain_console import plain_console
from appliance.cli.reading import Order, SlideReading, read_slide
from appliance.cli.truth import FocusFigures, focus_figures, with_truth
from appliance.cli.twin_session import TwinSlide, twin_session
from appliance.scan.events import FieldDone, ScanListener, SecondPlaneDone
from appliance.scan.rig import Meter
from appliance.settings import Settings
from drivers.camera.frame import Camera
from drivers.camera.twin import TwinCamera

PARTS = ("move", "settle", "focus", "expose", "score", "host")


@dataclass
class Watch(ScanListener):
    """Collects what a scan reports. wall_s runs from the start of the survey to the last recorded field.

    again: what second planes cost.
    """

    camera: Camera | None = None
    survey: Meter = field(default_factory=Meter)
    done: list[FieldDone] = field(default_factory=list)
    again: Meter = field(default_factory=Meter)
    started_s: float = 0.0
    ended_s: float = 0.0

    def opened(self, camera: Camera) -> None:
        """Remember the camera, for what its drawing cost."""
        self.camera = camera

    def planned(self, total: int, already: int) -> None:  # noqa: ARG002 - the interface's
        """The clock starts."""
        self.started_s = time.perf_counter()

    def surveyed(self, meter: Meter) -> None:
        """Remember what the survey cost."""
        self.survey = meter

    def field_done(self, done: FieldDone) -> None:
        """One more field; the clock stops here if it is the last."""
        self.done.append(done)
        self.ended_s = time.perf_counter()

    def second_plane_done(self, done: SecondPlaneDone) -> None:
        """What second planes cost; the clock stops here if this is the last."""
        self.again.add(done.meter)
        self.ended_s = time.perf_counter()

    @property
    def wall_s(self) -> float:
        """Seconds from the start of the survey to the last recorded field."""
        return self.ended_s - self.started_s

    @property
    def render_excess_s(self) -> float:
        """What drawing pictures cost beyond exposure and readout: a cost of the simulation, not of the appliance."""
        return self.camera.render_excess_s if isinstance(self.camera, TwinCamera) else 0.0


@dataclass(frozen=True)
class SlideFigures:
    """One measured slide."""

    seed: int
    reading: SlideReading
    watch: Watch
    truth: Path


def bench_scan(
    assay: Assay, settings: Settings, slides: int, fields: int, seed: int, *, na: float | None, harsh: bool
) -> dict[str, object]:
    """Figures over all slides; see README for what each key means. Times in seconds, lengths in µm."""
    console = plain_console(errors=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        measured = []
        for number in range(slides):
            one = _one(assay, settings, fields, seed + number, Path(folder), na=na, harsh=harsh)
            measured.append(one)
            console.print(
                f"slide {one.seed}: {one.reading.verdict.category}, {len(one.watch.done)} fields "
                f"in {one.watch.wall_s:.0f} s"
            )
        dof_um = measured[0].reading.dof_um
        focus = focus_figures([pair for m in measured for pair in with_truth(m.watch.done, m.truth)], dof_um)
        console.print(focus.in_words(dof_um))
        return _figures(measured, focus)


def _one(
    assay: Assay, settings: Settings, fields: int, seed: int, folder: Path, *, na: float | None, harsh: bool
) -> SlideFigures:
    truth = folder / f"truth-{seed}.jsonl"
    lying = replace(_slide(assay, seed), na=na, harsh=harsh)
    own = settings.model_copy(
        update={
            "scan": settings.scan.model_copy(update={"fields": fields}),
            "journal": settings.journal.model_copy(update={"path": folder / f"journal-{seed}.sqlite"}),
            "uplink": settings.uplink.model_copy(update={"enabled": False}),
        }
    )
    watch = Watch()
    with twin_session(lying, own, truth) as ready:
        reading = read_slide(
            ready, assay, Order(f"BENCH-{seed}", "A1", "bench"), folder / "report.html", watch, threading.Event()
        )
    return SlideFigures(seed, reading, watch, truth)


def _slide(assay: Assay, seed: int) -> TwinSlide:
    """Every second slide carries what the assay looks for."""
    lying = TwinSlide(assay.name, assay.magnifications[0], seed)
    if seed % 2 == 0:
        return lying
    return replace(lying, malignant=0.01) if assay.name == "serous" else replace(lying, afb_per_hpf=0.5)


def _figures(measured: list[SlideFigures], focus: FocusFigures) -> dict[str, object]:
    done = [d for m in measured for d in m.watch.done]
    fields = len(done)
    wall_s = sum(m.watch.wall_s for m in measured)
    excess_s = sum(m.watch.render_excess_s for m in measured)
    survey_exposures = sum(m.watch.survey.exposures for m in measured)
    exposures = sum(d.meter.exposures for d in done) + sum(m.watch.again.exposures for m in measured)
    hardware_s = sum(d.meter.hardware_s for d in done) + sum(
        m.watch.survey.hardware_s + m.watch.again.hardware_s for m in measured
    )
    return {
        "slides": len(measured),
        "fields": fields,
        "outcomes": dict(Counter(d.record.outcome.value for d in done)),
        "dof_um": measured[0].reading.dof_um,
        "exposures_per_field": (exposures + survey_exposures) / fields,
        "exposures_per_field_without_survey": exposures / fields,
        "seconds_per_field": {p: sum(d.record.seconds.get(p, 0.0) for d in done) / fields for p in PARTS},
        "survey_seconds_per_field": sum(sum(m.watch.survey.seconds.values()) for m in measured) / fields,
        "wall_seconds_per_field": wall_s / fields,
        "twin_rendering_seconds_per_field": excess_s / fields,
        "hardware_seconds_per_field": hardware_s / fields,
        "efficiency": hardware_s / (wall_s - excess_s),
        "efficiency_rendering_counted": hardware_s / wall_s,
        "focus": focus.as_json(),
        "peak_memory_mb": peak_mb(),
        "verdicts": {str(m.seed): m.reading.verdict.category for m in measured},
    }
