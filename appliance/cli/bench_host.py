"""Measure what one field costs the host, outside stage, camera and network, by part; and as a scan grows.

The scan loop, its reader and the journal are the real ones. Stage and camera run in simulated time, and the camera
shows a few fields of the twin that were drawn once, at places without end, so that ten thousand fields can be read. The
scorer finds nothing and takes nothing. A part is processor time of the threads in its calls, calls of other parts taken
out; what is in no named call is `rest`. The devices' time is simulation and no cost of the host.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from appliance.assays import Assay, load_assay
from appliance.cli.bench_focus import Order, axial_curve_for, plan_over
from appliance.cli.bench_reading import Job, run_of
from appliance.cli.peak_memory import peak_mb, reset_peak
from appliance.cli.plain_console import plain_console
from appliance.cli.processor_ledger import Ledger
from appliance.journal import Journal
from appliance.journal.database import size_bytes
from appliance.records import Outcome, SlideRun
from appliance.scan import captures, interpret, reader
from appliance.scan.events import FieldDone, ScanListener
from appliance.scan.focus import curve as shots
from appliance.scan.focus import search
from appliance.scan.focus.axial import AxialCurve
from appliance.scan.focus.judge import SlideJudge
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.focus.surface import FocusSurface
from appliance.scan.interpret import ReadingRules
from appliance.scan.plan import Plan, Region, make_plan
from appliance.scan.reader import Capture, Reader
from appliance.scan.rig import Meter, Rig
from appliance.scan.second_plane import SecondCapture
from appliance.scan.until_enough import Recorded, scan_until_enough
from appliance.settings import FocusSection, Settings
from drivers.camera.frame import CameraInfo, CameraSettings
from drivers.twin.virtual import FieldLadder, FieldShelf, RepeatedMicroscope, VirtualCamera, VirtualStage, draw_ladder
from engines.scorer import BackendInfo, Detection, OperatingPoint

_DEVICES, _REST = "devices", "rest"
_CALLS = (
    (VirtualStage, "move", _DEVICES),
    (VirtualStage, "wait", _DEVICES),
    (VirtualStage, "retract", _DEVICES),
    (VirtualCamera, "trigger", _DEVICES),
    (VirtualCamera, "exposed", _DEVICES),
    (VirtualCamera, "grab", _DEVICES),
    (shots, "colour_planes", "planes"),
    (shots, "measure_planes", "measure"),
    (shots, "look", "content"),
    (search, "bands_of", "bands"),
    (SlideJudge, "judge", "judge"),
    (FocusSurface, "predict", "surface_predict"),
    (FocusSurface, "add", "surface_learn"),
    (captures, "judge_frames", "search"),
    (captures, "compare_frames", "search"),
    (captures, "focus_field", "search"),
    (reader, "to_rgb", "colour"),
    (interpret, "measure_quality", "quality"),
    (reader, "crop_jpeg", "pictures"),
    (reader, "encode_jpeg", "pictures"),
    (Journal, "record_field", "journal"),
)
PARTS = (*dict.fromkeys(part for _, _, part in _CALLS if part != _DEVICES), _REST)
_FIELDS = 2
_RUNGS_DOF = (*np.arange(0.125, 1.1, 0.125).tolist(), 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0, 14.0)
"""Depths of field to either side of best focus, as far as a survey looks."""
_OVERLAP = 0.2
"""So that ten thousand fields fit the stage's travel."""
_MIDDLE_UM = (38_000.0, 13_000.0)
_LONGISH = 3.0
_POINT = OperatingPoint("bench", 0.5, 1.0, 0.0, 0.0, {}, "none")
_Made = TypeVar("_Made")
_BACKEND = BackendInfo("bench", "finds nothing", "0" * 64, "none")


class _FindsNothing:
    """A scorer that costs nothing."""

    backend = _BACKEND

    def score(self, image: NDArray[np.uint8], um_per_px: float) -> list[Detection]:  # noqa: ARG002 - the interface's
        """Nothing."""
        return []

    def close(self) -> None:
        """Nothing to free."""


class _Rows(Reader):
    """A reader that begins a new row of the ledger with every capture it is handed."""

    ledger: Ledger

    def put(self, capture: Capture | SecondCapture | threading.Event | None) -> None:
        """Hand over a capture."""
        super().put(capture)
        if isinstance(capture, Capture):
            self.ledger.close_row()


@dataclass
class _Watch(ScanListener):
    """From the end of the survey on, what was recorded; each field closes a row of the reader's thread."""

    ledger: Ledger
    begun_s: float = 0.0
    survey_exposures: int = 0
    exposures: int = 0
    outcomes: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))

    def surveyed(self, meter: Meter) -> None:
        """What the survey cost is no field's."""
        self.survey_exposures += meter.exposures
        self.ledger.forget()
        self.begun_s = time.process_time()

    def field_done(self, done: FieldDone) -> None:
        """One more."""
        self.exposures += done.meter.exposures
        self.outcomes[done.record.outcome] += 1
        self.ledger.close_row()


@dataclass(frozen=True)
class HostBench:
    """What all lengths have in common. settings: ours, with the twin's reference height and the assay's focus mode."""

    settings: Settings
    ladder: FieldLadder
    curve: AxialCurve | None

    def measure(self, fields: int, folder: Path) -> dict[str, object]:
        """A scan of so many fields. Times in milliseconds of processor time per field, memory in MB of 2^20 bytes."""
        scope = RepeatedMicroscope(self.ladder)
        rig = Rig(scope.stage, scope.camera, CameraSettings(self.settings.camera.exposure_ms), clock=scope.clock)
        plan = _plan(rig.info, self.settings.optics.um_per_px, fields)
        assay = load_assay(plan.assay)
        job = Job(
            assay, self.settings, fields, self.ladder.settings.seed, None, None, self.settings.optics.magnification
        )
        run = run_of(job, self.settings.optics, plan, _BACKEND)
        path = folder / f"{fields}.sqlite"
        with Journal.open(path):
            pass
        empty_bytes = size_bytes(path)
        ledger = Ledger((*PARTS, _DEVICES), _REST)
        watch = _Watch(ledger)
        with Journal.open(path) as journal, ledger.watching(_CALLS):
            journal.begin(run, plan.to_json())
            reset_peak()
            self._scan(assay, rig, plan, run, journal, watch)
            whole_s = time.process_time() - watch.begun_s
            memory_mb = peak_mb()
        rows = ledger.rows()
        whole_ms = 1e3 * (whole_s - float(rows.pop(_DEVICES).sum())) / fields
        mean_ms = {part: 1e3 * float(rows[part].sum()) / fields for part in PARTS}
        mean_ms[_REST] += whole_ms - sum(mean_ms.values())
        return {
            "fields": fields,
            "host_ms_per_field": whole_ms,
            "host_ms_per_field_median": 1e3 * float(np.median(sum(rows.values()))),
            "mean_ms": mean_ms,
            "median_ms": {part: 1e3 * float(np.median(rows[part])) for part in PARTS},
            "exposures_per_field": watch.exposures / fields,
            "survey_exposures": watch.survey_exposures,
            "outcomes": {outcome.value: count for outcome, count in watch.outcomes.items()},
            "journal_bytes_per_field": (size_bytes(path) - empty_bytes) / fields,
            "peak_memory_mb": memory_mb,
        }

    def _scan(self, assay: Assay, rig: Rig, plan: Plan, run: SlideRun, journal: Journal, watch: _Watch) -> None:
        recorded = Recorded(assay, run, _POINT, [])

        def new_reader() -> Reader:
            rules = ReadingRules(assay.labels.targets, 0.5, 0.2, self.settings.scan.keep_top)
            made = _Rows(
                run,
                _FindsNothing(),
                journal,
                rules,
                queue_length=self.settings.scan.queue_length,
                done=watch.field_done,
                suffices=recorded.suffices,
            )
            made.ledger = watch.ledger
            return made

        scan_until_enough(rig, plan, recorded, self.settings, new_reader, watch, threading.Event(), self.curve)


def bench_host(order: Order, lengths: Sequence[int], settings: Settings) -> dict[str, object]:
    """Scans of several lengths, the shortest first, over the slide and with the curve that `order` says.

    Raises SettingsError for a curve of other optics; PlanError where the slide holds no field.
    """
    console = plain_console(errors=True)
    twin = order.slide(order.seed)
    optics = FocusOptics(twin.optics.aperture, twin.optics.scale_um)
    mode = settings.focus.mode or load_assay("serous").reading.focus
    focus = settings.focus.model_copy(update={"reference_z_um": twin.reference_z_um, "mode": mode})
    section = settings.optics.model_copy(update={"na": optics.na, "um_per_px": optics.um_per_px})
    curve, learned, ladder = _elsewhere(_prepared, order, focus, optics)
    bench = HostBench(settings.model_copy(update={"focus": focus, "optics": section}), ladder, curve)
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for fields in sorted(lengths):
            rows.append(bench.measure(fields, Path(folder)))
            console.print(f"{fields} fields: {rows[-1]['host_ms_per_field']:.1f} ms of the host each")
    return {"curve": learned, "seed": order.seed, "lengths": rows}


def _elsewhere(work: Callable[..., _Made], *args: object) -> _Made:
    """What the work gives, done in a process of its own: memory freed there hides nothing of what a scan needs here."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
        return other.submit(work, *args).result()


def _prepared(
    order: Order, focus: FocusSection, optics: FocusOptics
) -> tuple[AxialCurve | None, dict[str, object], FieldLadder]:
    """The curve, what is known of it, and the pictures."""
    say = plain_console(errors=True).print
    curve, learned = axial_curve_for(order, focus, optics, say)
    say(f"drawing {_FIELDS} fields at {2 * len(_RUNGS_DOF) + 1} heights")
    twin = order.slide(order.seed)
    places = [(one.x_um, one.y_um) for one in plan_over(FieldShelf(twin), _FIELDS)]
    half = [rung * optics.dof_um for rung in _RUNGS_DOF]
    return curve, learned, draw_ladder(twin, places, [*(-rung for rung in reversed(half)), 0.0, *half])


def _plan(camera: CameraInfo, um_per_px: float, fields: int) -> Plan:
    """So many neighbouring fields, whatever their number, so that all lengths have the same ways between them."""
    width_um, height_um = camera.width_px * um_per_px, camera.height_px * um_per_px
    pitch = 1.0 - _OVERLAP
    rows = max(1, round((fields * width_um / height_um / _LONGISH) ** 0.5))
    columns = -(-fields // rows)
    region = Region(*_MIDDLE_UM, width_um * (1 + pitch * (columns - 1)), height_um * (1 + pitch * (rows - 1)))
    return make_plan("serous", region, width_um, height_um, fields=fields, overlap=_OVERLAP)
