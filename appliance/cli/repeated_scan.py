"""A scan over a few fields of the twin that were drawn once: for benches of what the scan costs, not of what it sees.

The scan loop, its reader and the journal are the real ones. Stage and camera run in simulated time, or at its pace, and
show the drawn fields at places without end.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from appliance.assays import Assay, load_assay
from appliance.cli.bench_focus import Order, axial_curve_for
from appliance.cli.bench_reading import Job, run_of
from appliance.cli.plain_console import plain_console
from appliance.cli.twin_plan import plan_over
from appliance.journal import Journal
from appliance.scan.events import ScanListener
from appliance.scan.focus.axial import AxialCurve
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.interpret import ReadingRules
from appliance.scan.plan import Plan, Region, make_plan
from appliance.scan.reader import Reader
from appliance.scan.rig import Rig
from appliance.scan.until_enough import Recorded, scan_until_enough
from appliance.settings import FocusSection, Settings
from drivers.camera.frame import CameraInfo, CameraSettings
from drivers.twin.virtual import FieldLadder, FieldShelf, RepeatedMicroscope, draw_ladder
from engines.scorer import BackendInfo, Detections, OperatingPoint, Scorer, nothing

_FIELDS = 2
_RUNGS_DOF = (*np.arange(0.125, 1.1, 0.125).tolist(), 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0, 14.0)
"""Depths of field to either side of best focus, as far as a survey looks."""
_OVERLAP = 0.2
"""So that ten thousand fields fit the stage's travel."""
_MIDDLE_UM = (38_000.0, 13_000.0)
_LONGISH = 3.0
_POINT = OperatingPoint("bench", 0.5, 1.0, 0.0, 0.0, {}, "none")
_Made = TypeVar("_Made")


class FindsNothing(Scorer):
    """A scorer that costs nothing."""

    backend = BackendInfo("bench", "finds nothing", "0" * 64, "none")

    def begin(self, image: NDArray[np.uint8], um_per_px: float) -> Detections:  # noqa: ARG002 - the interface's
        """Nothing."""
        return nothing

    def close(self) -> None:
        """Nothing to free."""


@dataclass(frozen=True)
class RepeatedScan:
    """What scans of any length have in common.

    settings: ours, with the twin's reference height and the assay's focus mode. learned: what is known of the curve.
    """

    assay: Assay
    settings: Settings
    ladder: FieldLadder
    curve: AxialCurve | None
    learned: dict[str, object]

    def scan(
        self,
        scope: RepeatedMicroscope,
        fields: int,
        path: Path,
        scorer: Scorer,
        listener: ScanListener,
        make_reader: Callable[..., Reader] = Reader,
    ) -> None:
        """Read so many fields into the journal at `path`."""
        rig = Rig(scope.stage, scope.camera, CameraSettings(self.settings.camera.exposure_ms), clock=scope.clock)
        plan = neighbouring_fields(rig.info, self.settings.optics.um_per_px, fields)
        optics = self.settings.optics
        job = Job(self.assay, self.settings, fields, self.ladder.settings.seed, None, None, optics.magnification)
        run = run_of(job, optics, plan, scorer.backend)
        recorded = Recorded(self.assay, run, _POINT, [])
        rules = ReadingRules(self.assay.labels.targets, 0.5, 0.2, self.settings.scan.keep_top)
        with Journal.open(path) as journal:
            journal.begin(run, plan.to_json())

            def new_reader() -> Reader:
                return make_reader(
                    run,
                    scorer,
                    journal,
                    rules,
                    queue_length=self.settings.scan.queue_length,
                    done=listener.field_done,
                    suffices=recorded.suffices,
                )

            scan_until_enough(rig, plan, recorded, self.settings, new_reader, listener, threading.Event(), self.curve)


def prepare(order: Order, settings: Settings) -> RepeatedScan:
    """Draw the fields of the slide that `order` says, and measure its curve where there is none.

    Raises SettingsError for a curve of other optics; PlanError where the slide holds no field.
    """
    twin, assay = order.slide(order.seed), load_assay("serous")
    optics = FocusOptics(twin.optics.aperture, twin.optics.scale_um)
    mode = settings.focus.mode or assay.reading.focus
    focus = settings.focus.model_copy(update={"reference_z_um": twin.reference_z_um, "mode": mode})
    section = settings.optics.model_copy(update={"na": optics.na, "um_per_px": optics.um_per_px})
    curve, learned, ladder = _elsewhere(_drawn, order, focus, optics)
    own = settings.model_copy(update={"focus": focus, "optics": section})
    return RepeatedScan(assay, own, ladder, curve, learned)


def _elsewhere(work: Callable[..., _Made], *args: object) -> _Made:
    """What the work gives, done in a process of its own: memory freed there hides nothing of what a scan needs here."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
        return other.submit(work, *args).result()


def _drawn(
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


def neighbouring_fields(camera: CameraInfo, um_per_px: float, fields: int) -> Plan:
    """So many neighbouring fields, whatever their number, so that all lengths have the same ways between them."""
    width_um, height_um = camera.width_px * um_per_px, camera.height_px * um_per_px
    pitch = 1.0 - _OVERLAP
    rows = max(1, round((fields * width_um / height_um / _LONGISH) ** 0.5))
    columns = -(-fields // rows)
    region = Region(*_MIDDLE_UM, width_um * (1 + pitch * (columns - 1)), height_um * (1 + pitch * (rows - 1)))
    return make_plan("serous", region, width_um, height_um, fields=fields, overlap=_OVERLAP)
