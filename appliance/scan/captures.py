"""From planned fields to captures: the stage goes on while the last frame is judged, and comes back where it must.

A field that one frame or two will probably settle is left as soon as they are exposed. When they say otherwise after
all, or do not come, the field is visited again with what they told of its height, on the way along the next row.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby

from appliance.records import FocusResult, Outcome
from appliance.scan.focus.field import first_height_um, focus_field
from appliance.scan.focus.frames import APART_DOF, Seen, settle_frames, teach
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.focus.search import Focused, View
from appliance.scan.focus.surface import Observation, Prediction
from appliance.scan.focus.survey import Survey
from appliance.scan.pace import Checks, Haste
from appliance.scan.plan import PlannedField
from appliance.scan.rig import Meter, Rig
from appliance.settings import FocusSection
from drivers.camera.frame import Frame
from drivers.errors import FrameTimeout

_TIGHT_DOF = 0.5
"""A prediction less certain than this is not left to frames in passing."""
_PAIR, _CHECK = 2, 3
"""Frames in passing where one would not do, and where the judge is not asked: two far from focus can look like two near
it, three do not."""
_NO_TIME = {"move": 0.0, "settle": 0.0, "focus": 0.0, "expose": 0.0, "host": 0.0}


@dataclass(frozen=True)
class Capture:
    """A field as it left the microscope. frame: the kept one, None when there is none; seconds: wall time by part."""

    planned: PlannedField
    outcome: Outcome
    reason: str
    focus: FocusResult
    frame: Frame | None
    meter: Meter
    seconds: dict[str, float]


@dataclass(frozen=True)
class _Later:
    """A field that frames in passing did not settle: what was expected, what they told, and what was spent on it.

    check: whether the judge is not asked.
    """

    field: PlannedField
    prediction: Prediction
    seen: Seen
    spent: Meter
    check: bool


class Captures:
    """The captures of fields on one surveyed slide."""

    def __init__(self, rig: Rig, known: Survey, settings: FocusSection, optics: FocusOptics) -> None:
        self._rig = rig
        self._known = known
        self._settings = settings
        self._optics = optics
        self._haste = Haste()
        self._checks = Checks()
        self._since_s = 0.0
        self._arrived = rig.meter.seconds

    def of(self, fields: Sequence[PlannedField]) -> Iterator[Capture]:
        """Every field once, in the order in which they are settled; first those that the survey has settled.

        Raises whatever the rig raises but FrameTimeout.
        """
        self._since_s = time.perf_counter()
        todo = yield from self._surveyed(fields)
        rows = [list(row) for _, row in groupby(todo, key=lambda field: field.y_um)]
        later, starts = list[_Later](), [*(row[0] for row in rows[1:]), None]
        for row, start in zip(rows, starts, strict=True):
            way, later = _by_the_way(row, later), []
            for stop, onward in zip(way, [*way[1:], start], strict=True):
                found = self._revisited(stop) if isinstance(stop, _Later) else self._visited(stop, onward)
                if isinstance(found, Capture):
                    yield found
                else:
                    later.append(found)
        for left in reversed(later):
            yield self._revisited(left)

    def _revisited(self, left: _Later) -> Capture:
        """A field that was left open."""
        return self._stayed(left.field, left.prediction, left.spent, left.seen, check=left.check)

    @contextmanager
    def interrupted(self) -> Iterator[None]:
        """The stage does something else between two captures; that is no field's time."""
        begun_s = time.perf_counter()
        try:
            yield
        finally:
            self._since_s += time.perf_counter() - begun_s

    def _surveyed(self, fields: Sequence[PlannedField]) -> Generator[Capture, None, list[PlannedField]]:
        """Captures of the fields that were settled by the survey, which has accounted for them; returns the others."""
        settled = dict(self._known.settled)
        others = []
        for field in fields:
            done = settled.get((field.x_um, field.y_um))
            if done is None:
                others.append(field)
            else:
                yield Capture(field, done.outcome, done.reason, done.result, done.frame, Meter(), dict(_NO_TIME))
        return others

    def _visited(self, field: PlannedField, onward: PlannedField | _Later | None) -> Capture | _Later:
        """A field, with frames in passing where they will probably do. onward: where the stage goes next."""
        check = self._known.view.judge is not None and self._checks.asked()
        frames = self._frames(check=check)
        prediction = self._predict(field)
        if onward is None or frames is None or not self._is_tight(prediction):
            return self._stayed(field, prediction, Meter(), check=check)
        return self._passed(field, onward, frames, check=check)

    def _frames(self, *, check: bool) -> int | None:
        """How many frames the next field gets in passing; None where the stage stays."""
        frames = self._haste.frames()
        return _CHECK if check and frames is not None else frames

    def _view(self, *, check: bool) -> View:
        """What is known of the slide; in a check, without the judge."""
        return replace(self._known.view, judge=None) if check else self._known.view

    def _predict(self, field: PlannedField) -> Prediction:
        return self._known.surface.predict(field.x_um, field.y_um, self._rig.now_s())

    def _is_tight(self, prediction: Prediction) -> bool:
        return self._known.view.judge is not None and prediction.sigma_um <= _TIGHT_DOF * self._optics.dof_um

    def _go_to(
        self, field: PlannedField, prediction: Prediction, view: View, seen: Seen | None = None, below_um: float = 0.0
    ) -> float:
        """Wait until the stage stands over a field; at which height."""
        height_um = first_height_um(prediction, view, self._settings, self._optics, seen, below_um=below_um)
        self._rig.go_to(field.x_um, field.y_um, height_um)
        self._arrived = dict(self._rig.meter.seconds)
        return height_um if self._rig.z_um is None else self._rig.z_um

    def _stayed(
        self, field: PlannedField, prediction: Prediction, spent: Meter, seen: Seen | None = None, *, check: bool
    ) -> Capture:
        """Stay until the field is settled."""
        view = self._view(check=check)
        z_um = self._go_to(field, prediction, view, seen)
        try:
            focused = focus_field(self._rig, prediction, view, self._settings, self._optics, seen, first_um=z_um)
        except FrameTimeout as error:
            focused = self._no_frame(prediction, error)
        if seen is None and not check:
            self._haste.note(None, focused.result.exposures)
        return self._captured(field, focused, spent)

    def _passed(
        self, field: PlannedField, onward: PlannedField | _Later, frames: int, *, check: bool
    ) -> Capture | _Later:
        """Some frames, the last read out and all judged on the way to the next field; left open where none comes."""
        goal = self._goal(onward)
        z_um = self._go_to(field, self._predict(field), self._known.view, below_um=self._below_um(check=check))
        prediction = self._predict(field)
        apart_um = self._apart_um()
        heights_um = [min(z_um + n * apart_um, self._settings.max_z_um) for n in range(frames)]
        taken = self._rig.expose_and_leave(heights_um, goal)
        found: Focused | Seen = Seen(prediction)
        if taken:
            found = settle_frames(taken, heights_um, prediction, self._view(check=check), self._settings, self._optics)
        settled_by = found.result.exposures if isinstance(found, Focused) else None
        if not check:
            beside = abs(z_um - prediction.z_um) > apart_um / 4
            self._haste.note(frames, settled_by, beside=beside)
        if isinstance(found, Focused):
            return self._captured(field, found, Meter())
        return _Later(field, prediction, found, self._rig.meter.take(), check)

    def _goal(self, onward: PlannedField | _Later) -> tuple[float, float, float]:
        """Place and height of the exposure after this one."""
        if isinstance(onward, _Later):
            field, prediction, seen, below_um = onward.field, onward.prediction, onward.seen, 0.0
        else:
            field, prediction, seen = onward, self._predict(onward), None
            below_um = self._below_um(check=self._checks.due_next)
        view = self._known.view
        height_um = first_height_um(prediction, view, self._settings, self._optics, seen, below_um=below_um)
        return field.x_um, field.y_um, height_um

    def _below_um(self, *, check: bool) -> float:
        """By how much the first of several frames lies under the expected height, so that they lie around it."""
        frames = self._frames(check=check)
        if frames is None or (frames == _PAIR and not self._haste.around):
            return 0.0
        return (frames - 1) / 2 * self._apart_um()

    def _apart_um(self) -> float:
        """Distance of frames in passing."""
        return APART_DOF * self._optics.dof_um

    def _no_frame(self, prediction: Prediction, error: FrameTimeout) -> Focused:
        result = FocusResult(prediction.z_um, None, 0.0, "no frame", self._rig.meter.exposures, prediction.z_um)
        return Focused(result, None, Outcome.FAILED, error.what)

    def _captured(self, field: PlannedField, focused: Focused, spent: Meter) -> Capture:
        """Learn from a field, and account for all that it took. spent: on it before."""
        if (peak := focused.peak) is not None:
            sigma_um = self._known.view.on_stage(peak.sigma_um)
            seen = Observation(field.x_um, field.y_um, peak.z_um, sigma_um, self._rig.now_s())
            self._known.surface.add([seen])
        teach(self._known.view, focused)
        now_s = time.perf_counter()
        total_s, self._since_s = now_s - self._since_s, now_s
        seconds = _parts(self._arrived, self._rig.meter, total_s)
        meter = self._rig.meter.take()
        meter.add(spent)
        result = replace(focused.result, exposures=meter.exposures)
        return Capture(field, focused.outcome, focused.reason, result, focused.frame, meter, seconds)


def _by_the_way(row: Sequence[PlannedField], later: Sequence[_Later]) -> list[PlannedField | _Later]:
    """A row, and between its fields those of the row before that were left open; the first field stays the first."""
    along = 1 if row[-1].x_um >= row[0].x_um else -1
    others = [(along * field.x_um, 0, field) for field in row[1:]] + [(along * one.field.x_um, 1, one) for one in later]
    return [row[0], *(stop for *_, stop in sorted(others, key=lambda other: other[:2]))]


def _parts(arrived: Mapping[str, float], meter: Meter, total_s: float) -> dict[str, float]:
    """Wall seconds since the last field: waiting for the way here and its settling, one exposure, and the host.

    Focus holds all heights and exposures but the one exposure that every field needs anyway.
    """
    expose_s = meter.seconds["expose"] / max(meter.exposures, 1)
    parts = {
        "move": arrived["move"],
        "settle": arrived["settle"],
        "focus": sum(meter.seconds.values()) - arrived["move"] - arrived["settle"] - expose_s,
        "expose": expose_s,
    }
    return {**parts, "host": total_s - sum(parts.values())}
