"""Measure what one field costs the host, outside stage, camera and network, by part; and as a scan grows.

Over fields that were drawn once, so that ten thousand can be read, and with a scorer that takes nothing. A part is
processor time of the threads in its calls, calls of other parts taken out; what is in no named call is `rest`. The
devices' time is simulation and no cost of the host.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from appliance.cli.bench_focus import Order
from appliance.cli.peak_memory import peak_mb, reset_peak
from appliance.cli.plain_console import plain_console
from appliance.cli.processor_ledger import Ledger
from appliance.cli.repeated_scan import FindsNothing, RepeatedScan, prepare
from appliance.journal import Journal
from appliance.journal.database import size_bytes
from appliance.records import Outcome
from appliance.scan import captures, interpret, reader, recorder
from appliance.scan.captures import Capture
from appliance.scan.events import FieldDone, ScanListener
from appliance.scan.focus import curve as shots
from appliance.scan.focus import search
from appliance.scan.focus.judge import SlideJudge
from appliance.scan.focus.surface import FocusSurface
from appliance.scan.reader import Prepared, Reader
from appliance.scan.rig import Meter
from appliance.scan.second_plane import SecondCapture
from appliance.settings import Settings
from drivers.twin.virtual import RepeatedMicroscope, VirtualCamera, VirtualStage

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
    (captures, "settle_frames", "search"),
    (captures, "focus_field", "search"),
    (reader, "to_rgb", "colour"),
    (interpret, "measure_quality", "quality"),
    (recorder, "crop_jpeg", "pictures"),
    (recorder, "encode_jpeg", "pictures"),
    (Journal, "record_field", "journal"),
)
PARTS = (*dict.fromkeys(part for _, _, part in _CALLS if part != _DEVICES), _REST)


def _in_rows(ledger: Ledger) -> type[Reader]:
    """A reader each of whose threads, and who hands over to it, begins a new row of the ledger after every capture.

    The last of its threads does so when a field is done.
    """

    class Rows(Reader):
        def put(self, capture: Capture | SecondCapture) -> None:
            super().put(capture)
            if isinstance(capture, Capture):
                ledger.close_row()

        def _prepare(self, capture: Capture | SecondCapture) -> None:
            super()._prepare(capture)
            if isinstance(capture, Capture):
                ledger.close_row()

        def _score(self, prepared: Prepared) -> None:
            super()._score(prepared)
            if isinstance(prepared.capture, Capture):
                ledger.close_row()

    return Rows


@dataclass
class _Watch(ScanListener):
    """From the end of the survey on, what was recorded; each field closes a row of the thread that recorded it."""

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


def _measured(repeated: RepeatedScan, fields: int, path: Path) -> dict[str, object]:
    """A scan of so many fields. Times in milliseconds of processor time per field, memory in MB of 2^20 bytes."""
    with Journal.open(path):
        pass
    empty_bytes = size_bytes(path)
    ledger = Ledger((*PARTS, _DEVICES), _REST)
    watch = _Watch(ledger)

    with ledger.watching(_CALLS):
        reset_peak()
        repeated.scan(RepeatedMicroscope(repeated.ladder), fields, path, FindsNothing(), watch, _in_rows(ledger))
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


def bench_host(order: Order, lengths: Sequence[int], settings: Settings) -> dict[str, object]:
    """Scans of several lengths, the shortest first, over the slide and with the curve that `order` says.

    Raises SettingsError for a curve of other optics; PlanError where the slide holds no field.
    """
    console = plain_console(errors=True)
    repeated = prepare(order, settings)
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for fields in sorted(lengths):
            rows.append(_measured(repeated, fields, Path(folder) / f"{fields}.sqlite"))
            console.print(f"{fields} fields: {rows[-1]['host_ms_per_field']:.1f} ms of the host each")
    return {"curve": repeated.learned, "seed": order.seed, "lengths": rows}
