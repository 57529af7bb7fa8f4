"""A certain 3+ ends the scan; a resumed one decides as the interrupted one did; what undoes the decision is read on."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence, Set
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from appliance.assays import load_assay
from appliance.errors import JournalError, Stopped
from appliance.journal import Journal
from appliance.records import FieldRecord, Outcome
from appliance.scan import scanner, until_enough
from appliance.scan.captures import Capture
from appliance.scan.events import ScanListener
from appliance.scan.plan import Plan, PlannedField, Region, make_plan
from appliance.scan.reader import IN_HAND, Reader
from appliance.scan.rig import Meter, Rig
from appliance.scan.until_enough import Recorded, scan_until_enough
from appliance.settings import load_settings
from tests.appliance.scan.test_reader import RULES, FixedScorer, Sink, capture
from tests.appliance.verdict import slide_records as make

ASSAY = load_assay("afb")
POINT = make.afb_point()
RUN = make.run("afb", 40, field_mm2=0.05)
PLAN = make_plan("afb", Region(0, 0, 10_000, 500), 1000.0, 50.0, fields=40)
LOOK = 13


class Weak(FieldRecord):
    """A record whose end can be seen."""

    __hash__ = object.__hash__


class Told(ScanListener):
    """Remembers how many fields were enough."""

    def __init__(self) -> None:
        self.ended: list[int] = []

    def ended_early(self, visited: int) -> None:
        self.ended.append(visited)


class Closed:
    """A reader that is only ever closed."""

    def close(self) -> None:
        return


class Stage:
    """Takes the scan's place: records fields of its slide until there are enough, then, once, `waiting` more."""

    def __init__(self, slide: Sequence[FieldRecord], recorded: Recorded, waiting: int = 0) -> None:
        self.scans: list[list[int]] = []
        self._slide, self._recorded, self._waiting = slide, recorded, waiting

    def scan(self, _rig: object, _plan: Plan, recorded: Set[int], *_: object) -> None:
        visited: list[int] = []
        self.scans.append(visited)
        left = None
        for record in self._slide:
            if record.index in recorded or left == 0:
                continue
            left = None if left is None else left - 1
            visited.append(record.index)
            if self._recorded.suffices(record) and left is None:
                left, self._waiting = self._waiting, 0


def dense(count: int, start: int = 0) -> list[FieldRecord]:
    return [make.field(start + index, afb=100) for index in range(count)]


def scan(recorded: Recorded, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Told:
    told = Told()
    monkeypatch.setattr(until_enough, "scan", stage.scan)
    rig, settings = cast("Rig", None), load_settings()
    scan_until_enough(rig, PLAN, recorded, settings, lambda: cast("Reader", Closed()), told, threading.Event())
    return told


def test_a_dense_smear_ends_at_the_look_and_fields_that_waited_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = Recorded(ASSAY, RUN, POINT, [])
    stage = Stage(dense(40), recorded, waiting=3)
    assert scan(recorded, stage, monkeypatch).ended == [LOOK + 3]
    assert stage.scans == [list(range(LOOK + 3))]
    assert recorded.indexes == set(range(LOOK + 3))


def test_a_smear_without_bacilli_is_read_to_the_end_of_its_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = Recorded(ASSAY, RUN, POINT, [])
    stage = Stage(make.fields(40), recorded)
    assert scan(recorded, stage, monkeypatch).ended == []
    assert stage.scans == [list(range(40))]


@pytest.mark.parametrize("killed_after", [LOOK, LOOK + 2])
def test_after_a_crash_between_the_decision_and_the_verdict_nothing_more_is_visited(
    killed_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded(ASSAY, RUN, POINT, dense(killed_after))
    stage = Stage(dense(40), recorded)
    assert scan(recorded, stage, monkeypatch).ended == [killed_after]
    assert stage.scans == []


@pytest.mark.parametrize("killed_after", [0, 5, LOOK - 1])
def test_a_resumed_scan_ends_at_the_same_look(killed_after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = Recorded(ASSAY, RUN, POINT, dense(killed_after))
    stage = Stage(dense(40), recorded)
    assert scan(recorded, stage, monkeypatch).ended == [LOOK]
    assert stage.scans == [list(range(killed_after, LOOK))]


def test_the_journals_records_lead_to_the_same_decision(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal.sqlite") as journal:
        journal.begin(RUN, "{}")
        for record in dense(LOOK):
            assert not Recorded(ASSAY, RUN, POINT, journal.fields(RUN.run_id)).enough()
            journal.record_field(RUN.run_id, record)
        assert Recorded(ASSAY, RUN, POINT, journal.fields(RUN.run_id)).enough()


def test_of_an_assay_that_is_read_to_its_end_no_records_are_held() -> None:
    run = make.run("serous", 40)
    held = weakref.WeakSet[FieldRecord]()
    recorded = Recorded(load_assay("serous"), run, POINT, [])
    for index in range(40):
        assert not recorded.enough()
        assert recorded.indexes == set(range(index))
        record = Weak(**vars(make.field(index, malignant=3)))
        held.add(record)
        recorded.suffices(record)
    del record
    assert recorded.enough()
    assert len(held) == 0


def test_a_decision_undone_by_fields_that_waited_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = [make.field(LOOK + n, Outcome.FAILED, reason="not focused: flat", quality=None) for n in range(14)]
    slide = [*dense(LOOK), *failed, *dense(13, start=LOOK + 14)]
    recorded = Recorded(ASSAY, RUN, POINT, [])
    stage = Stage(slide, recorded, waiting=14)
    assert scan(recorded, stage, monkeypatch).ended == [LOOK + 15]
    assert stage.scans == [list(range(LOOK + 14)), [LOOK + 14]]


class Unmoved(Rig):
    """A rig without devices that counts how often it was retracted."""

    def __init__(self) -> None:
        self.meter = Meter()
        self.retracted = 0

    def retract(self) -> None:
        self.retracted += 1


def test_a_stop_that_came_while_homing_is_not_kept_waiting_by_the_survey(monkeypatch: pytest.MonkeyPatch) -> None:
    rig, stop = Unmoved(), threading.Event()
    monkeypatch.setattr(scanner, "survey", lambda *_, **__: pytest.fail("the slide was surveyed"))
    reader = Reader(RUN, FixedScorer(), Sink(), RULES, queue_length=1, done=lambda _: None)
    stop.set()
    with pytest.raises(Stopped):
        scanner.scan(rig, PLAN, set(), load_settings(), reader, Told(), stop)
    assert rig.retracted == 1


def visiting(monkeypatch: pytest.MonkeyPatch, before_next: Callable[[], object] = lambda: None) -> None:
    """Fields are captured without a microscope. before_next: called when a field has been handed over."""

    def of(fields: Sequence[PlannedField]) -> Iterator[Capture]:
        for field in fields:
            yield capture(field.index)
            before_next()

    monkeypatch.setattr(scanner, "survey", lambda *_, **__: None)
    monkeypatch.setattr(scanner, "Captures", lambda *_: SimpleNamespace(of=of))


@pytest.mark.parametrize("queue_length", [1, 4])
@pytest.mark.parametrize("enough_at", [0, 5, 38])
def test_the_scan_loop_leaves_off_when_its_reader_has_enough_and_retracts(
    enough_at: int, queue_length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig, sink = Unmoved(), Sink()
    visiting(monkeypatch)
    reader = Reader(
        RUN,
        FixedScorer(),
        sink,
        RULES,
        queue_length=queue_length,
        done=lambda _: None,
        suffices=lambda record: record.index >= enough_at,
    )
    scanner.scan(rig, PLAN, set(), load_settings(), reader, Told(), threading.Event())
    indexes = [record.index for record, _, _ in sink.records]
    assert indexes == list(range(len(indexes)))
    assert enough_at < len(indexes) <= min(enough_at + 1 + queue_length + IN_HAND, len(PLAN.fields))
    assert rig.retracted == 1


def test_a_stop_does_not_hide_that_recording_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    rig, stop = Unmoved(), threading.Event()
    sink = Sink(fails_at=0)

    def stop_when_it_has_failed() -> None:
        assert sink.failed.wait(timeout=30)
        stop.set()

    visiting(monkeypatch, stop_when_it_has_failed)
    reader = Reader(RUN, FixedScorer(), sink, RULES, queue_length=4, done=lambda _: None)
    with pytest.raises(JournalError, match="disk is full"):
        scanner.scan(rig, PLAN, set(), load_settings(), reader, Told(), stop)
    assert rig.retracted == 1


def test_what_fails_after_a_stop_is_not_taken_for_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, stop = threading.Semaphore(0), threading.Event()

    class Opens(Unmoved):
        def retract(self) -> None:
            super().retract()
            gate.release(9)

    visiting(monkeypatch, stop.set)
    reader = Reader(RUN, FixedScorer(), Sink(gate, fails_at=1), RULES, queue_length=4, done=lambda _: None)
    with pytest.raises(JournalError, match="disk is full"):
        scanner.scan(Opens(), PLAN, set(), load_settings(), reader, Told(), stop)


def test_after_a_stop_all_that_was_handed_over_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, sink = threading.Event(), Sink()
    visiting(monkeypatch, stop.set)
    reader = Reader(RUN, FixedScorer(), sink, RULES, queue_length=4, done=lambda _: None)
    with pytest.raises(Stopped):
        scanner.scan(Unmoved(), PLAN, set(), load_settings(), reader, Told(), stop)
    assert [record.index for record, _, _ in sink.records] == [0, 1]
