"""`read_slide` without hardware: a certain 3+ ends the reading, also when it was killed before its verdict."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.assays import load_assay
from appliance.cli import reading
from appliance.cli.reading import Order, SlideReading, read_slide
from appliance.cli.scoring import OpenEngine, trial_of
from appliance.errors import JournalError
from appliance.journal import Journal, JournalReader
from appliance.scan import until_enough
from appliance.scan.plan import Plan
from appliance.scan.reader import IN_HAND, Reader
from appliance.scan.rig import Rig
from appliance.settings import Settings, load_settings
from drivers.camera.frame import CameraInfo, CameraSettings, PixelFormat
from engines.package import load_package, shipped
from engines.scorer import Detection
from tests.appliance.scan.test_reader import FixedScorer, capture
from tests.appliance.scan.test_until_enough import Told

PLANNED, LOOK = 40, 12


class Hardware:
    """Stage and camera that only say what they are."""

    def home(self) -> None:
        return

    def limits(self) -> dict[str, tuple[float, float]]:
        return {"x": (0.0, 75_000.0), "y": (0.0, 25_000.0)}

    def info(self) -> CameraInfo:
        return CameraInfo("none", "0", 1928, 1208, PixelFormat.RGB8, 1.0)

    def configure(self, exposure: CameraSettings) -> CameraSettings:
        return exposure


class Killed(BaseException):
    """Takes the place of a power cut."""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A smear with 60 bacilli in every field, and a scan that hands over fields as long as the reader wants them."""
    package = load_package(shipped("afb", 0.293))
    bacilli = [Detection("afb", 0.9, 20.0 + 3.0 * n, 90.0, 20, 8) for n in range(60)]

    @contextmanager
    def hardware(_: Settings) -> Iterator[tuple[Hardware, Hardware]]:
        yield Hardware(), Hardware()

    @contextmanager
    def scorer(settings: Settings, _: object) -> Iterator[OpenEngine]:
        yield OpenEngine(package, FixedScorer(*bacilli), trial_of(settings))

    def scan(_rig: object, plan: Plan, recorded: Set[int], _settings: object, reader: Reader, *_: object) -> None:
        for field in plan.fields:
            if field.index not in recorded and not reader.enough:
                reader.put(dataclasses.replace(capture(field.index), planned=field))
        reader.finish()

    monkeypatch.setattr(reading, "hardware", hardware)
    monkeypatch.setattr(reading, "scorer", scorer)
    monkeypatch.setattr(until_enough, "scan", scan)
    region = "scan.region={x_um: 38000, y_um: 13000, width_um: 20000, height_um: 10000}"
    more = ["optics.magnification=450", f"scan.fields={PLANNED}", "scan.queue_length=2", region]
    return load_settings(None, [f"journal.path={tmp_path / 'journal.sqlite'}", *more])


def read(settings: Settings, tmp_path: Path, told: Told, version: str | None = None) -> SlideReading:
    order, assay = Order("S26-1", "A", "tester"), load_assay("afb")
    assay = assay.model_copy(update={"version": version or assay.version})
    return read_slide(settings, assay, order, tmp_path / "report.html", told, threading.Event())


def power_cut(*_: object) -> None:
    raise Killed


def killed_before_the_report(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading whose fields are all recorded and whose verdict is not."""
    with monkeypatch.context() as cut:
        cut.setattr(reading, "write_report", power_cut)
        with pytest.raises(Killed):
            read(settings, tmp_path, Told())


def test_the_verdict_of_a_reading_that_ended_early_counts_all_that_was_recorded(
    settings: Settings, tmp_path: Path
) -> None:
    told = Told()
    done = read(settings, tmp_path, told)
    visited = len(done.fields)
    assert LOOK <= visited <= LOOK + settings.scan.queue_length + IN_HAND
    assert [record.index for record in done.fields] == list(range(visited))
    assert told.ended == [visited]
    assert (done.verdict.category, done.verdict.stopped_early) == ("3+", True)
    assert (done.verdict.fields.captured, done.verdict.fields.planned) == (visited, PLANNED)
    assert done.verdict.counts["afb"].n == 60 * visited
    assert f"after {visited} of {PLANNED} planned fields" in (tmp_path / "report.html").read_text()
    with JournalReader.open(settings.journal.path) as journal:
        kept = json.loads(journal.verdict(done.run.run_id) or "")
        assert "stopped_early" in kept["flags"]
        assert journal.unfinished() == []


def test_killed_between_the_last_field_and_the_verdict_it_visits_nothing_more(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_before_the_report(settings, tmp_path, monkeypatch)
    with Journal.open(settings.journal.path) as journal:
        before = journal.fields(journal.unfinished()[0].run_id)
    told = Told()
    monkeypatch.setattr(until_enough, "scan", power_cut)
    done = read(settings, tmp_path, told)
    assert done.fields == before
    assert (done.resumed, told.ended) == (len(before), [len(before)])
    assert done.verdict.stopped_early


def test_an_unfinished_reading_is_not_mixed_with_another_version_of_the_assay(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_before_the_report(settings, tmp_path, monkeypatch)
    with pytest.raises(JournalError, match=r"another version of the assay\."):
        read(settings, tmp_path, Told(), version="new")
    assert read(settings, tmp_path, Told()).resumed > 0


@pytest.mark.parametrize(
    ("asked", "assays", "expected"),
    [(None, "fast", "fast"), (None, "exact", "exact"), ("exact", "fast", "exact"), ("fast", "exact", "fast")],
)
def test_focus_is_as_exact_as_the_settings_or_else_the_assay_say(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str | None, assays: str, expected: str
) -> None:
    seen, scan = [], until_enough.scan

    def noted(rig: Rig, plan: Plan, recorded: Set[int], given: Settings, *more: object) -> None:
        seen.append(given.focus.mode)
        scan(rig, plan, recorded, given, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(until_enough, "scan", noted)
    assay = load_assay("afb")
    assay = assay.model_copy(update={"reading": assay.reading.model_copy(update={"focus": assays})})
    own = settings.model_copy(update={"focus": settings.focus.model_copy(update={"mode": asked})})
    read_slide(own, assay, Order("S26-2", "A", "tester"), tmp_path / "report.html", Told(), threading.Event())
    assert seen == [expected]
