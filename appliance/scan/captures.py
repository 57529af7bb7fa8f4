"""From planned fields to captures: the stage goes on while the last frame is judged, and comes back where it must.

A field that is expected to be settled by its first frame is left as soon as that is exposed. When the frame says
otherwise after all, or does not come, the field is visited again at the end of its row, with what the frame told of its
height. Whether leaving early pays is learned from the fields before.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby

from appliance.records import FocusResult, Outcome
from appliance.scan.focus.field import Seen, first_height_um, focus_field, judge_frame, teach
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.focus.search import Focused
from appliance.scan.focus.surface import Observation, Prediction
from appliance.scan.focus.survey import Survey
from appliance.scan.plan import PlannedField
from appliance.scan.reader import Capture
from appliance.scan.rig import Meter, Rig
from appliance.settings import FocusSection
from drivers.errors import FrameTimeout

_TIGHT_DOF = 0.5
"""A prediction less certain than this is not left to one frame."""
_PAYS = 0.85
"""Share of fields that their first frame must settle. Own estimate: going back takes some 0.25 s, waiting 0.04 s."""
_MEMORY = 20
_NO_TIME = {"move": 0.0, "settle": 0.0, "focus": 0.0, "expose": 0.0, "host": 0.0}


@dataclass
class Haste:
    """Whether to leave a field before its frame is judged: by how often the first frame has settled it of late."""

    settled: float = 1.0

    def note(self, *, settled: bool) -> None:
        """One more field."""
        self.settled += (settled - self.settled) / _MEMORY

    @property
    def pays(self) -> bool:
        """Whether going on is cheaper than waiting."""
        return self.settled >= _PAYS


@dataclass
class Checks:
    """Which fields are bracketed all the same, so that the judge is checked and learns the slide: ever fewer.

    A slide shifts what all its frames show alike. What is left of that after the survey would be the same error in all
    fields, and the surface, which hears of every field, would believe it.
    """

    visited: int = 0
    gap: int = 1
    due: int = 1

    def asked(self) -> bool:
        """Whether the next field is one; the second gap is one field longer than the first, and so on."""
        self.visited += 1
        if self.visited < self.due:
            return False
        self.gap += 1
        self.due = self.visited + self.gap
        return True


@dataclass(frozen=True)
class _Later:
    """A field that its first frame did not settle: what was expected, what the frame told, and what was spent on it."""

    field: PlannedField
    prediction: Prediction
    seen: Seen
    spent: Meter


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
        later = list[_Later]()
        for row, ahead in zip(rows, [*rows[1:], []], strict=True):
            left_last = list[_Later]()
            for field, following in zip(row, [*row[1:], None], strict=True):
                onward = following or (later or ahead[:1] or [None])[-1]
                found = self._visited(field, onward)
                if isinstance(found, Capture):
                    yield found
                else:
                    (later if following else left_last).append(found)
            yield from self._revisited(later)
            later = left_last
        yield from self._revisited(later)

    def _revisited(self, later: Sequence[_Later]) -> Iterator[Capture]:
        """The fields that were left open, the last one first."""
        for left in reversed(later):
            yield self._stayed(left.field, left.prediction, left.spent, left.seen)

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
        """A field, with one frame in passing where that will probably do. onward: where the stage goes next."""
        if self._known.view.judge is not None and self._checks.asked():
            return self._checked(field)
        if onward is None or not self._leaves_early(field):
            return self._stayed(field, self._predict(field), Meter())
        return self._passed(field, onward)

    def _checked(self, field: PlannedField) -> Capture:
        """Bracket a field, and show the judge what was found."""
        prediction, view = self._predict(field), self._known.view
        self._go_to(field, prediction)
        try:
            focused = focus_field(self._rig, prediction, replace(view, judge=None), self._settings, self._optics)
        except FrameTimeout as error:
            focused = self._no_frame(prediction, error)
        teach(view, focused)
        return self._captured(field, focused, Meter())

    def _predict(self, field: PlannedField) -> Prediction:
        return self._known.surface.predict(field.x_um, field.y_um, self._rig.now_s())

    def _leaves_early(self, field: PlannedField) -> bool:
        tight_um = _TIGHT_DOF * self._optics.dof_um
        return self._known.view.judge is not None and self._haste.pays and self._predict(field).sigma_um <= tight_um

    def _go_to(self, field: PlannedField, prediction: Prediction, seen: Seen | None = None) -> float:
        """Wait until the stage stands over a field; at which height."""
        height_um = self._first_um(prediction, seen)
        self._rig.go_to(field.x_um, field.y_um, height_um)
        self._arrived = dict(self._rig.meter.seconds)
        return height_um if self._rig.z_um is None else self._rig.z_um

    def _first_um(self, prediction: Prediction, seen: Seen | None = None) -> float:
        return first_height_um(prediction, self._known.view, self._settings, self._optics, seen)

    def _stayed(self, field: PlannedField, prediction: Prediction, spent: Meter, seen: Seen | None = None) -> Capture:
        """Stay until the field is settled."""
        z_um = self._go_to(field, prediction, seen)
        try:
            focused = focus_field(
                self._rig, prediction, self._known.view, self._settings, self._optics, seen, first_um=z_um
            )
        except FrameTimeout as error:
            focused = self._no_frame(prediction, error)
        if not spent.exposures:
            self._haste.note(settled=focused.result.exposures == 1)
        return self._captured(field, focused, spent)

    def _passed(self, field: PlannedField, onward: PlannedField | _Later) -> Capture | _Later:
        """One frame, read out and judged on the way to the next field; where none comes, the field is left open."""
        goal = self._goal(onward)
        z_um = self._go_to(field, self._predict(field))
        prediction = self._predict(field)
        frame = self._rig.expose_and_leave(z_um, goal)
        found: Focused | Seen = Seen(prediction)
        if frame is not None:
            found = judge_frame(frame, z_um, prediction, self._known.view, self._settings, self._optics)
        self._haste.note(settled=isinstance(found, Focused))
        if isinstance(found, Focused):
            return self._captured(field, found, Meter())
        return _Later(field, prediction, found, self._rig.meter.take())

    def _goal(self, onward: PlannedField | _Later) -> tuple[float, float, float]:
        """Place and height of the exposure after this one."""
        if isinstance(onward, _Later):
            return onward.field.x_um, onward.field.y_um, self._first_um(onward.prediction, onward.seen)
        return onward.x_um, onward.y_um, self._first_um(self._predict(onward))

    def _no_frame(self, prediction: Prediction, error: FrameTimeout) -> Focused:
        result = FocusResult(prediction.z_um, None, 0.0, "no frame", self._rig.meter.exposures, prediction.z_um)
        return Focused(result, None, Outcome.FAILED, error.what)

    def _captured(self, field: PlannedField, focused: Focused, spent: Meter) -> Capture:
        """Learn from a field, and account for all that it took. spent: on it before."""
        if (peak := focused.peak) is not None:
            seen = Observation(field.x_um, field.y_um, peak.z_um, peak.sigma_um, self._rig.now_s())
            self._known.surface.add([seen])
        now_s = time.perf_counter()
        total_s, self._since_s = now_s - self._since_s, now_s
        seconds = _parts(self._arrived, self._rig.meter, total_s)
        meter = self._rig.meter.take()
        meter.add(spent)
        result = replace(focused.result, exposures=meter.exposures)
        return Capture(field, focused.outcome, focused.reason, result, focused.frame, meter, seconds)


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
