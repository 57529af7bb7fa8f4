"""Measure ways to focus beside each other: the same slides, the same stage and camera, one run.

Time is simulated: stage and camera take what their motion profiles, settling, exposure and readout take, and drawing
costs nothing. A method's own arithmetic passes by this process's processor time, for everybody: in full where it stands
between calls of the devices, and not at all as far as it runs while a move it has started lasts. Scoring and recording,
which our scans do in another thread, are no part of this bench. Answers of the serial line are not counted.

The others start at the first field at the height where it is sharp, as if a person had focused there; we start from the
settings' reference height and survey, which is counted. All stand on the same stage, which approaches from below and so
takes up backlash for everybody. Each has a microscope of its own; they visit each field in turn, so that it is drawn
once. The truth is read here alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from appliance.cli.calibrate_focus import FIELDS, Calibration, calibrate_on
from appliance.cli.focus_figures import Spent, Visit, figures, ideal_seconds
from appliance.cli.focus_methods.method import Method, Setup, Visitor
from appliance.cli.focus_methods.ours import ours
from appliance.cli.focus_methods.registry import PEERS, NotInstalled
from appliance.cli.plain_console import plain_console
from appliance.cli.twin_plan import plan_over
from appliance.cli.twin_session import TwinSlide
from appliance.errors import PlanError
from appliance.scan.focus.axial import AxialCurve
from appliance.scan.focus.calibrate import trustworthy
from appliance.scan.focus.curve_file import load_curve, save_curve
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.plan import PlannedField
from appliance.scan.rig import Rig
from appliance.settings import FocusSection
from drivers.camera.frame import CameraSettings
from drivers.stage import Position
from drivers.twin.settings import TwinSettings
from drivers.twin.virtual import FieldShelf, VirtualMicroscope

OURS, EXACT, UNJUDGED = "ours", "ours_exact", "ours_uncalibrated"
_OWN = (OURS, EXACT, UNJUDGED)
_EXPOSURE_MS = 5.0
_PLANNED = 200
_BACKLASH_UM = 1.5
_SIDE_UM = 600.0
"""Of the square of a cytospin that one field takes up, the rim's lost parts included."""
_CYTOSPIN_UM = 6_000.0
_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Order:
    """What to measure.

    magnification: 450 takes effusions, 900 sputum smears. na: None takes the objective's. curve: file of the axial
    curve; where there is none yet, it is measured on the slide after the last one and kept there. more: further twin
    settings as `a.b=value`. calibrated: fields taken through focus for the curve.
    """

    slides: int
    fields: int
    seed: int
    magnification: int = 450
    na: float | None = None
    harsh: bool = False
    peers: bool = True
    curve: Path | None = None
    more: tuple[str, ...] = ()
    calibrated: int = FIELDS

    def slide(self, seed: int) -> TwinSettings:
        """The twin with one of the slides, large enough for its fields. Raises BadTwinSettings."""
        assay = "serous" if self.magnification == 450 else "afb"
        across_um = max(_CYTOSPIN_UM, _SIDE_UM * math.sqrt(self.fields))
        more = (f"slide.serous.diameter_um={across_um:.0f}", *self.more)
        twin = TwinSlide(assay, self.magnification, seed, na=self.na, harsh=self.harsh, more=more).settings()
        z = twin.mechanics.z.model_copy(update={"backlash_um": _BACKLASH_UM})
        return twin.model_copy(update={"mechanics": twin.mechanics.model_copy(update={"z": z})})


@dataclass
class Course:
    """One method on its way over one slide."""

    microscope: VirtualMicroscope
    setup: Setup
    start: Position
    method: Visitor | None = None
    visits: list[Visit] = field(default_factory=list)

    def begin(self, make: Method) -> None:
        """Let it survey, if it does."""
        self.method = self._timed(lambda: make(self.setup))

    def visit(self, planned: PlannedField) -> None:
        """Let it focus one field, and look up what it really kept."""
        method, camera, truths = self.method, self.microscope.camera, self.microscope.truths
        if method is None:
            raise ValueError("a method visits nothing before it has begun")
        before = camera.exposures
        kept = self._timed(lambda: method.visit(planned))
        shown = truths[kept.frame_id or camera.exposures]
        off_um = None if kept.frame_id is None else shown.off_um
        exposures = camera.exposures - before if kept.exposures is None else kept.exposures
        over_um = kept.expected_over_um
        expected_um = None if off_um is None or over_um is None else off_um + over_um
        self.visits.append(Visit(off_um, shown.blank, kept.in_focus, exposures, shown.at_edge, expected_um))

    def spent(self) -> Spent:
        """In all, so far."""
        scope, setup = self.microscope, self.setup
        frame_s = (setup.exposure.exposure_ms + scope.camera.info().readout_ms) / 1e3
        stage = scope.stage
        ideal_s = ideal_seconds(self.start, setup.start_um, setup.fields, stage.settings, stage.profiles, frame_s)
        clock = scope.clock
        return Spent(scope.camera.exposures, clock.now_s, clock.waited_s, clock.host_s, ideal_s)

    def _timed(self, work: Callable[[], _Made]) -> _Made:
        """Do it; the host's time outside the devices counts."""
        self.microscope.clock.start_host()
        try:
            return work()
        finally:
            self.microscope.clock.stop_host()


def bench_focus(order: Order, focus: FocusSection) -> dict[str, object]:
    """Figures of all methods over all slides. focus: our settings; their reference height becomes the twin's.

    Raises SettingsError for a curve of other optics; PlanError where a slide holds no field, or no specimen.
    """
    console = plain_console(errors=True)
    twin = order.slide(order.seed)
    optics = FocusOptics(twin.optics.aperture, twin.optics.scale_um)
    focus = focus.model_copy(update={"reference_z_um": twin.reference_z_um})
    curve, learned = axial_curve_for(order, focus, optics, console.print)
    methods, skipped = _methods(focus, curve, peers=order.peers)
    for name, reason in skipped.items():
        console.print(f"{name} is left out: {reason}")
    courses: dict[str, list[Course]] = {name: [] for name in methods}
    for seed in range(order.seed, order.seed + order.slides):
        shelf = FieldShelf(order.slide(seed))
        for name, course in run_over(shelf, methods, order.fields, focus, optics).items():
            courses[name].append(course)
        console.print(f"slide {seed}: {len(courses[OURS][-1].visits)} fields by {len(methods)} methods")
    rows = {name: _row(done, optics.dof_um) for name, done in courses.items()}
    peers: dict[str, object] = {name: row for name, row in rows.items() if name not in _OWN}
    return {
        "na": optics.na,
        "dof_um": optics.dof_um,
        "magnification": order.magnification,
        "slides": order.slides,
        "seed": order.seed,
        "harsh": order.harsh,
        "curve": learned,
        **{name: rows[name] for name in _OWN if name in rows},
        "peers": {**peers, **{name: {"skipped": reason} for name, reason in skipped.items()}},
    }


def _methods(focus: FocusSection, curve: AxialCurve | None, *, peers: bool) -> tuple[dict[str, Method], dict[str, str]]:
    """All that can run, ours first, and why the others cannot."""
    fast, exact = (focus.model_copy(update={"mode": mode}) for mode in ("fast", "exact"))
    methods, skipped = {OURS: ours(fast, curve), EXACT: ours(exact, curve)}, {}
    if peers:
        methods[UNJUDGED] = ours(fast, None)
    for name, load in PEERS.items() if peers else ():
        try:
            methods[name] = load()
        except NotInstalled as error:
            skipped[name] = str(error)
    return methods, skipped


def run_over(
    shelf: FieldShelf, methods: dict[str, Method], fields: int, focus: FocusSection, optics: FocusOptics
) -> dict[str, Course]:
    """All methods over one slide, field by field. Raises PlanError where it holds no field, or no specimen."""
    planned = plan_over(shelf, fields)
    start_um = _sharp_um(shelf, planned, focus.reference_z_um)
    courses = {}
    for name, make in methods.items():
        scope = VirtualMicroscope(shelf, counts_host=True)
        exposure = scope.camera.configure(CameraSettings(_EXPOSURE_MS))
        setup = Setup(scope.stage, scope.camera, exposure, planned, start_um, optics, scope.clock)
        courses[name] = Course(scope, setup, scope.stage.position())
        courses[name].begin(make)
    for one in planned:
        for course in courses.values():
            course.visit(one)
    return courses


def _sharp_um(shelf: FieldShelf, planned: tuple[PlannedField, ...], reference_um: float) -> float:
    """Height as commanded at which the first field with specimen is sharp. Raises PlanError where there is none."""
    scope = VirtualMicroscope(shelf)
    rig = Rig(scope.stage, scope.camera, CameraSettings(_EXPOSURE_MS))
    for one in planned:
        rig.go_to(one.x_um, one.y_um)
        shown = scope.truths[rig.expose_at(reference_um).frame_id]
        if not shown.blank:
            return reference_um - shown.off_um
    raise PlanError("The slide shows no specimen in any planned field.", remedy="Choose another seed or more fields.")


def axial_curve_for(
    order: Order, focus: FocusSection, optics: FocusOptics, say: Callable[[str], None]
) -> tuple[AxialCurve | None, dict[str, object]]:
    """The curve from its file, or measured on a slide that is not among those to come; and what is known of it.

    None where single pictures of this device do not tell focus well enough; every field is bracketed then.
    """
    if order.curve is not None and (held := load_curve(order.curve, optics)) is not None:
        return held, {"from": "file"}
    seed = order.seed + order.slides
    measured = _calibrated(order.slide(seed), order.calibrated, focus, optics, say)
    good = trustworthy(measured.quality)
    if good and order.curve is not None:
        save_curve(order.curve, measured.curve)
    known: dict[str, object] = {"from": f"slide {seed}", "trusted": good, "p95_um": measured.quality.p95_um}
    return measured.curve if good else None, known


def _calibrated(
    twin: TwinSettings, fields: int, focus: FocusSection, optics: FocusOptics, say: Callable[[str], None]
) -> Calibration:
    shelf = FieldShelf(twin)
    scope = VirtualMicroscope(shelf)
    rig = Rig(scope.stage, scope.camera, CameraSettings(_EXPOSURE_MS), clock=scope.clock)
    places = [(one.x_um, one.y_um) for one in plan_over(shelf, _PLANNED)]
    return calibrate_on(rig, places, fields, focus, optics, lambda text: say(f"calibrating: {text}"))


def _row(done: list[Course], dof_um: float) -> dict[str, object]:
    spent = [course.spent() for course in done]
    total = Spent(
        sum(s.exposures for s in spent),
        sum(s.total_s for s in spent),
        sum(s.waited_s for s in spent),
        sum(s.host_s for s in spent),
        sum(s.ideal_s for s in spent),
    )
    return figures([visit for course in done for visit in course.visits], total, dof_um)
