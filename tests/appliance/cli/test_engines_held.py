"""Who may use and change the engines of a device at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest

from appliance.cli.exits import Exit
from appliance.cli.scoring import scorer
from engines.slots import store as slot_store
from engines.slots.errors import UpdateUnderWay
from engines.slots.lock import taking_turns
from engines.slots.slot import Slot
from engines.slots.store import SlotStore
from engines.slots.trial import Trial
from tests.appliance.cli.engine_site import AFB, FRAME, WHO, Site, in_use, install
from tests.appliance.update.small import (
    NAME,
    Engine,
    memory,
)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with memory() as folder:
        yield folder


@pytest.mark.parametrize("installed", [True, False])
def test_while_a_slide_is_read_no_update_changes_the_engines(site: Site, engine: Engine, *, installed: bool) -> None:
    if installed:
        install(site, engine)
    before = site.standing()
    with scorer(site.loaded, AFB):
        assert site.run("engine", "build", NAME, *FRAME, *WHO) == Exit.BUSY
        assert site.run("engine", "rollback", NAME, *WHO) == Exit.BUSY
        with scorer(site.loaded, AFB):  # a bench beside it may look on
            pass
    assert site.standing() == before


def test_while_an_update_runs_no_slide_is_read_and_nobody_waits_for_it(
    site: Site, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site, engine)
    never = partial(taking_turns, pause=lambda _: pytest.fail("waited for an update"))
    monkeypatch.setattr(slot_store, "taking_turns", never)
    with site.store.updating():
        with pytest.raises(UpdateUnderWay), scorer(site.loaded, AFB):
            pass
        assert site.run("scan", "--assay", "afb", "--accession", "S26-1") == Exit.BUSY
    assert in_use(site.loaded)[0] == "redness 1.2.3"


def test_of_two_scans_that_start_at_once_the_second_waits_until_the_first_has_looked_after_the_engines(
    site: Site, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site, engine)
    watch, watching, go_on = SlotStore.watch, threading.Event(), threading.Event()

    def slow(store: SlotStore, name: str, trial: Trial, *, who: str, now: datetime) -> Slot | None:
        watching.set()
        assert go_on.wait(20)
        return watch(store, name, trial, who=who, now=now)

    monkeypatch.setattr(SlotStore, "watch", slow)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(in_use, site.loaded)
        assert watching.wait(20)
        waited: list[str] = []

        def pause(_: float) -> None:
            go_on.set()
            waited.append(first.result(20)[0])

        monkeypatch.setattr(slot_store, "taking_turns", partial(taking_turns, pause=pause))
        assert in_use(site.loaded)[0] == "redness 1.2.3"
    assert waited == ["redness 1.2.3"]


def test_a_scan_keeps_its_turn_until_no_other_can_take_the_engines_from_it(
    site: Site, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site, engine)
    reading = SlotStore.reading

    class MustWait(Exception): ...

    def another_start() -> None:
        def pause(_: float) -> None:
            raise MustWait

        with taking_turns(site.folder / "engines", pause):
            pass

    def before_reading(store: SlotStore) -> AbstractContextManager[None]:
        with pytest.raises(MustWait):
            another_start()
        return reading(store)

    monkeypatch.setattr(SlotStore, "reading", before_reading)
    with scorer(site.loaded, AFB):
        another_start()  # it reads, and keeps nobody waiting
