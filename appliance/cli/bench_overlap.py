"""Measure how much of the scoring is hidden behind motion: the same scan in real time, with a network and without.

Over fields that were drawn once. Stage and camera take the time that they take, asleep, so that this machine's cores
are left to the appliance as on a device; the network, the reader and the judging of frames compute for real.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.cli.bench_focus import Order
from appliance.cli.plain_console import plain_console
from appliance.cli.repeated_scan import FindsNothing, RepeatedScan, prepare
from appliance.cli.scoring import scorer
from appliance.scan.events import FieldDone, ScanListener
from appliance.scan.rig import Meter
from appliance.settings import Settings
from drivers.twin.virtual import PacedClock, RepeatedMicroscope
from engines.scorer import BackendInfo, Detection, Detections, Scorer


@dataclass
class _Timed(Scorer):
    """A scorer, and how long each field took it."""

    inner: Scorer
    seconds: list[float] = field(default_factory=list)

    @property
    def backend(self) -> BackendInfo:
        """The scorer's own."""
        return self.inner.backend

    def begin(self, image: NDArray[np.uint8], um_per_px: float) -> Detections:
        """What it finds."""
        begun_s = time.perf_counter()
        detections = self.inner.begin(image, um_per_px)
        beginning_s = time.perf_counter() - begun_s

        def found() -> list[Detection]:
            asked_s = time.perf_counter()
            answer = detections()
            self.seconds.append(beginning_s + time.perf_counter() - asked_s)
            return answer

        return found

    def close(self) -> None:
        """Whoever opened the scorer closes it."""


@dataclass
class _Watch(ScanListener):
    """Wall time from the end of the survey to the last recorded field."""

    begun_s: float = 0.0
    ended_s: float = 0.0

    def surveyed(self, meter: Meter) -> None:  # noqa: ARG002 - the interface's
        """The clock starts."""
        self.begun_s = time.perf_counter()

    def field_done(self, done: FieldDone) -> None:  # noqa: ARG002 - the interface's
        """One more; the clock stops here if it is the last."""
        self.ended_s = time.perf_counter()

    @property
    def wall_s(self) -> float:
        """Seconds in between."""
        return self.ended_s - self.begun_s


def bench_overlap(order: Order, fields: int, rounds: int, settings: Settings) -> dict[str, object]:
    """Scans of so many fields in turn without and with the network, `rounds` times. Medians; times in seconds a field.

    hidden: share of the network's time that did not make the scan longer.
    Raises SettingsError for a curve of other optics; PlanError where the slide holds no field; EngineError.
    """
    console = plain_console(errors=True)
    repeated = prepare(order, settings)
    without, with_it, scoring = [], [], []
    with scorer(repeated.settings, repeated.assay) as opened:
        package, engine = opened.package, opened.scorer
        for number in range(rounds):
            timed = _Timed(engine)
            without.append(_wall_s(repeated, fields, FindsNothing()))
            with_it.append(_wall_s(repeated, fields, timed))
            scoring.append(sum(timed.seconds) / fields)
            console.print(
                f"round {number + 1}: {without[-1]:.3f} s a field without scoring, {with_it[-1]:.3f} s with it, "
                f"which takes {scoring[-1]:.3f} s"
            )
        added_s = float(np.median(np.subtract(with_it, without)))
        scoring_s = float(np.median(scoring))
        return {
            "fields": fields,
            "rounds": rounds,
            "seed": order.seed,
            "curve": repeated.learned,
            "engine": package.title,
            "runtime": engine.backend.runtime,
            "seconds_per_field_without": float(np.median(without)),
            "seconds_per_field_with": float(np.median(with_it)),
            "scoring_seconds_per_field": scoring_s,
            "added_seconds_per_field": added_s,
            "hidden": 1.0 - added_s / scoring_s,
        }


def _wall_s(repeated: RepeatedScan, fields: int, engine: Scorer) -> float:
    watch = _Watch()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        scope = RepeatedMicroscope(repeated.ladder, PacedClock())
        repeated.scan(scope, fields, Path(folder) / "journal.sqlite", engine, watch)
    return watch.wall_s / fields
