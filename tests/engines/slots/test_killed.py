"""Killed at any instant of an update, a trial or a way back, the device has a working engine, and can go on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from engines.slots.errors import BadSlot, NothingToGoBackTo
from engines.slots.store import SlotStore

from .dying import changes_of, dies_at
from .life import NAME, in_use, read_slides, restart_scanner, roll_back, stage, standing, update, watch

Releases = list[Path]
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory where there is one: a killed process loses nothing there either, and hundreds die quickly."""
    shared = Path("/dev/shm")  # noqa: S108
    with TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None) as folder:
        yield Path(folder)


@dataclass(frozen=True)
class Case:
    """before: what the store went through. work: what is killed. working: releases that may be in use at any instant,
    "" for the shipped one. goal: what stands when the work was done, however often it was killed.
    """

    before: Callable[[SlotStore, Releases], object]
    work: Callable[[SlotStore, Releases], object]
    working: set[str]
    goal: dict[str, str]


def _nothing(store: SlotStore, releases: Releases) -> None:
    """A device as it was delivered."""


def _good(store: SlotStore, releases: Releases) -> None:
    update(store, releases[0])
    read_slides(store)


def _on_trial(store: SlotStore, releases: Releases) -> None:
    update(store, releases[0])


def _second_on_trial(store: SlotStore, releases: Releases) -> None:
    _good(store, releases)
    update(store, releases[1])


def _two_good(store: SlotStore, releases: Releases) -> None:
    _second_on_trial(store, releases)
    read_slides(store)


def _second_replaced_first_on_trial(store: SlotStore, releases: Releases) -> None:
    _on_trial(store, releases)
    update(store, releases[1])


def _second_failed(store: SlotStore, releases: Releases) -> None:
    _second_on_trial(store, releases)
    restart_scanner(store)


def _only_one_failed(store: SlotStore, releases: Releases) -> None:
    _on_trial(store, releases)
    restart_scanner(store)


def _second_altered(store: SlotStore, releases: Releases) -> None:
    _two_good(store, releases)
    slot = store.current(NAME)
    assert slot is not None
    (slot.engine / "plan").write_bytes(b"Plan of 1.2.0")


def _stage(store: SlotStore, package: Path) -> None:
    with store.updating():
        stage(store, package)


def _roll_back(store: SlotStore, releases: Releases) -> None:
    with suppress(NothingToGoBackTo):  # asked for again after it was done
        roll_back(store)


def _roll_back_and_start(store: SlotStore, releases: Releases) -> None:
    _roll_back(store, releases)
    watch(store)


CASES = {
    "first install": Case(_nothing, lambda s, r: update(s, r[0]), {"", "r1"}, {"r1": "active", "in use": "r1"}),
    "update over an older engine": Case(
        _two_good, lambda s, r: update(s, r[2]), {"r2", "r3"}, {"r2": "good", "r3": "active", "in use": "r3"}
    ),
    "update of an engine on trial": Case(
        _on_trial, lambda s, r: update(s, r[1]), {"r1", "r2"}, {"r1": "accepted", "r2": "active", "in use": "r2"}
    ),
    "staging beside an altered engine": Case(
        _second_altered, lambda s, r: _stage(s, r[2]), {"r1"}, {"r1": "good", "r3": "staged", "in use": "r1"}
    ),
    "trial": Case(_second_on_trial, lambda s, _: read_slides(s), {"r2"}, {"r1": "good", "r2": "good", "in use": "r2"}),
    "roll back": Case(_two_good, _roll_back, {"r1", "r2"}, {"r1": "good", "r2": "rejected", "in use": "r1"}),
    "roll back from a trial": Case(
        _second_on_trial, _roll_back, {"r1", "r2"}, {"r1": "good", "r2": "rejected", "in use": "r1"}
    ),
    "roll back to one that was replaced": Case(
        _second_replaced_first_on_trial,
        _roll_back_and_start,
        {"r1", "r2", ""},
        {"r1": "active", "r2": "rejected", "in use": "r1"},
    ),
    "fall back": Case(
        _second_failed, lambda s, _: watch(s), {"r1", "r2"}, {"r1": "good", "r2": "rejected", "in use": "r1"}
    ),
    "fall back to the shipped one": Case(
        _only_one_failed, lambda s, _: watch(s), {"r1", ""}, {"r1": "rejected", "in use": ""}
    ),
    "fall back from an altered one": Case(
        _second_altered, lambda s, _: watch(s), {"r1"}, {"r1": "good", "r2": "rejected", "in use": "r1"}
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_killed_at_each_step_it_has_a_working_engine_and_reaches_its_goal(
    case: Case, memory: Path, releases: Releases
) -> None:
    before = memory / "before"
    before.mkdir()
    case.before(SlotStore(before / "engines"), releases)
    step, died = 0, True
    while died:
        step += 1
        root, started = memory / str(step), memory / f"{step} started"
        shutil.copytree(before, root, symlinks=True)
        store = SlotStore(root / "engines")
        died = dies_at(step, partial(case.work, store, releases))
        if case.before is not _second_altered:
            assert in_use(store) in case.working, f"killed at step {step}"
        shutil.copytree(root, started, symlinks=True)
        restarted = SlotStore(started / "engines")
        watched = watch(restarted)
        assert (watched.record.release if watched else "") in case.working, f"started after step {step}"
        dies_at(step, partial(case.work, restarted, releases))
        for again in (store, restarted):  # at once; and after the scanner has started and the work was killed again
            case.work(again, releases)
            assert standing(again) == case.goal, f"killed at step {step}"
        shutil.rmtree(root)
        shutil.rmtree(started)
    assert step > 5


def test_an_altered_engine_is_never_opened_wherever_the_way_back_is_killed(memory: Path, releases: Releases) -> None:
    _second_altered(SlotStore(memory / "before"), releases)
    step, died, seen = 0, True, []
    while died:
        step += 1
        shutil.copytree(memory / "before", memory / str(step), symlinks=True)
        store = SlotStore(memory / str(step))
        died = dies_at(step, partial(watch, store))
        try:
            seen.append(in_use(store))
        except BadSlot as error:
            seen.append(Path(error.what.partition(" has been altered")[0]).name)
    assert set(seen) == {"plan", "r1"}
    assert seen == sorted(seen, key=["plan", "r1"].index)


def test_each_name_is_forced_to_the_disk_before_the_next_change(
    store: SlotStore, releases: Releases, tmp_path: Path
) -> None:
    def life() -> None:
        _two_good(store, releases)
        update(store, releases[2])
        roll_back(store)

    changes = changes_of(life, tmp_path / "changes")
    renames = 0
    for before, change, after in zip(changes, changes[1:], changes[2:], strict=False):
        if change[0] == "os.rename":
            _, draft, path = change
            assert after == ["fsync", str(Path(path).parent)]
            assert before == (["os.symlink", before[1], draft] if path.endswith("current") else ["fsync", draft])
            renames += 1
        # A folder is emptied from within, by names relative to it, after its record is gone; then it goes itself.
        removed = change[0] == "os.rmdir" or (change[0] == "os.remove" and change[1].endswith("slot.json"))
        if change[0] == "os.mkdir" or (removed and Path(change[1]).is_absolute()):
            assert after == ["fsync", str(Path(change[1]).parent)]
    assert renames > 40
