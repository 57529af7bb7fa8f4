"""What the slides that an engine on trial reads, and how the scanner ends, say of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import pytest

from appliance.cli import reading
from appliance.cli.exits import Exit
from appliance.cli.reading import Order, read_slide
from appliance.cli.scoring import engine_folder, scorer
from appliance.cli.serve_scanner import BREADCRUMB
from appliance.errors import JournalError, Stopped
from appliance.scan import until_enough
from appliance.service.breadcrumb import Breadcrumb
from appliance.service.requests import SlideInHand
from appliance.settings import Settings
from drivers.errors import CameraLost
from tests.appliance.cli.engine_site import AFB, Site, in_use, install
from tests.appliance.cli.test_reading import Hardware
from tests.appliance.scan.test_until_enough import Told
from tests.appliance.update.small import (
    NAME,
    Engine,
    memory,
    read_slides,
)

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with memory() as folder:
        yield folder


@pytest.mark.parametrize("start", [in_use, lambda settings: engine_folder(settings, AFB)])
def test_an_altered_engine_falls_back_by_itself_at_the_next_start(
    site: Site, engine: Engine, newer: Engine, start: Callable[[Settings], object]
) -> None:
    install(site, engine)
    read_slides(site.store)
    slot = install(site, newer)
    (slot.package / "manifest.yaml").write_text("altered")
    start(site.loaded)
    assert site.standing() == {"1.2.3": "good", "2.0.0": "rejected", "in use": "1.2.3"}
    assert in_use(site.loaded)[0] == "redness 1.2.3"


def test_slides_that_come_to_their_end_make_an_engine_good(site: Site, engine: Engine) -> None:
    site.settings += ["engines.good_after=2"]
    install(site, engine)
    for state in ("active", "active", "good"):
        assert site.standing()["1.2.3"] == state
        with scorer(site.loaded, AFB) as opened, opened.slide():
            pass


@pytest.fixture
def read(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Read a slide that ends in this error after its engine was opened."""

    @contextmanager
    def hardware(_: Settings) -> Iterator[tuple[Hardware, Hardware]]:
        yield Hardware(), Hardware()

    monkeypatch.setattr(reading, "hardware", hardware)

    def once(error: BaseException) -> None:
        def scan(*_: object) -> None:
            raise error

        monkeypatch.setattr(until_enough, "scan", scan)
        with pytest.raises(type(error)):
            read_slide(site.loaded, AFB, Order("S26-1", "A", "tester"), tmp_path / "r.html", Told(), threading.Event())

    return once


def test_too_many_slides_that_die_in_the_middle_and_the_engine_falls_back(
    site: Site, engine: Engine, newer: Engine, read: Callable[[BaseException], None]
) -> None:
    site.settings += ["engines.failed_allowed=1"]
    install(site, engine)
    read_slides(site.store)
    install(site, newer)
    for _ in range(2):
        assert in_use(site.loaded)[0] == "redness 2.0.0"
        read(RuntimeError("the engine gave up"))
    assert in_use(site.loaded)[0] == "redness 1.2.3"
    assert site.standing() == {"1.2.3": "good", "2.0.0": "rejected", "in use": "1.2.3"}
    (bad,) = (slot for slot in site.store.slots(NAME) if slot.record.version == "2.0.0")
    assert bad.record.history[-1].why == "Slides that did not come to their end with it: 2; allowed: 1."


@pytest.mark.parametrize(
    ("result", "assay", "left"),
    [
        ("watchdog", "afb", "1.2.3"),
        ("watchdog", None, "1.2.3"),
        ("watchdog", "serous", "2.0.0"),
        ("timeout", "afb", "1.2.3"),
        ("timeout", "serous", "1.2.3"),
        ("signal", "serous", "1.2.3"),
        ("core-dump", None, "1.2.3"),
        ("oom-kill", None, "1.2.3"),
        ("success", "afb", "2.0.0"),
        ("exit-code", "afb", "2.0.0"),
    ],
)
def test_a_hang_is_held_against_the_engine_on_trial_that_was_reading(
    site: Site,
    engine: Engine,
    newer: Engine,
    monkeypatch: pytest.MonkeyPatch,
    result: str,
    assay: str | None,
    left: str,
) -> None:
    install(site, engine)
    read_slides(site.store)
    install(site, newer)
    if assay is not None:
        slide = SlideInHand(assay=assay, accession="S26-1", slide="A", operator="x", started_at=NOW)
        Breadcrumb(site.folder / BREADCRUMB).write(slide)
    monkeypatch.setenv("SERVICE_RESULT", result)
    assert site.run("serve", "ended") == Exit.VERDICT
    assert in_use(site.loaded)[0] == f"redness {left}"


@pytest.mark.parametrize("elsewhere", ["optics.um_per_px=5", "named"])
def test_what_the_scanner_does_not_load_bears_no_part_in_its_end(
    site: Site, engine: Engine, newer: Engine, monkeypatch: pytest.MonkeyPatch, elsewhere: str
) -> None:
    install(site, engine)
    read_slides(site.store)
    install(site, newer)
    here = list(site.settings)
    site.settings = [*here, f"engines.afb={engine.package}" if elsewhere == "named" else elsewhere]
    monkeypatch.setenv("SERVICE_RESULT", "core-dump")
    assert site.run("serve", "ended") == Exit.VERDICT
    site.settings = here
    assert in_use(site.loaded)[0] == "redness 2.0.0"


def test_a_hang_counts_also_where_the_note_of_the_slide_cannot_be_read(
    site: Site, engine: Engine, newer: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site, engine)
    read_slides(site.store)
    install(site, newer)
    (site.folder / BREADCRUMB).write_text("torn")
    monkeypatch.setenv("SERVICE_RESULT", "watchdog")
    assert site.run("serve", "ended") == Exit.VERDICT
    assert in_use(site.loaded)[0] == "redness 1.2.3"


STOPPED = Stopped("The scan was stopped.", remedy="Start it again to go on.")
FULL = JournalError("The disk is full.", remedy="Free space.")
LOST = CameraLost("The camera is gone.", safe="Z is up.", remedy="Plug it in.")


@pytest.mark.parametrize(
    "error", [STOPPED, KeyboardInterrupt(), LOST, FULL], ids=["stopped", "interrupted", "camera lost", "full"]
)
def test_a_slide_that_the_operator_or_a_device_ended_does_not_count_against_the_engine(
    site: Site, engine: Engine, read: Callable[[BaseException], None], error: BaseException
) -> None:
    site.settings += ["engines.failed_allowed=0", "engines.good_after=3"]
    install(site, engine)
    for _ in range(2):
        read(error)
    slot = site.store.current(NAME)
    assert slot is not None
    assert (slot.record.slides_started, slot.record.slides_finished) == (2, 2)
    assert in_use(site.loaded)[0] == "redness 1.2.3"
