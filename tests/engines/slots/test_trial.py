"""What becomes of an engine in use: good after its trial, or left, by itself or by an operator."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.slots.errors import NothingToGoBackTo
from engines.slots.store import SlotStore

from .life import (
    NAME,
    NOW,
    TRIAL,
    accept,
    build,
    in_use,
    make_good,
    read_slides,
    restart_scanner,
    roll_back,
    stage,
    standing,
    start_slides,
    update,
    watch,
)


def test_an_engine_is_good_after_enough_slides_and_not_before(store: SlotStore, releases: list[Path]) -> None:
    update(store, releases[0])
    read_slides(store, TRIAL.good_after - 1)
    assert standing(store)["r1"] == "active"
    read_slides(store, 1)
    assert standing(store)["r1"] == "good"
    last = store.slots(NAME)[0].record.history[-1]
    assert (last.who, last.why) == ("scanner", "3 slides came to their end with it.")


def test_slides_are_counted_until_the_engine_is_good(store: SlotStore, releases: list[Path]) -> None:
    make_good(store, releases[0])
    read_slides(store)
    start_slides(store, 10)
    restart_scanner(store)
    record = store.slots(NAME)[0].record
    assert (record.slides_started, record.slides_finished, record.restarts) == (3, 3, 0)
    assert watch(store) == store.current(NAME)


def test_slides_read_with_the_shipped_engine_are_not_counted(store: SlotStore) -> None:
    read_slides(store)
    restart_scanner(store)
    assert store.names() == []


def test_too_many_slides_without_an_end_make_it_fall_back(store: SlotStore, releases: list[Path]) -> None:
    make_good(store, releases[0])
    update(store, releases[1])
    read_slides(store, 1)
    start_slides(store, TRIAL.failed_allowed)
    assert watch(store) == store.current(NAME)
    assert in_use(store) == "r2"
    start_slides(store, 1)
    watched = watch(store)
    assert watched is not None
    assert watched.record.release == "r1"
    assert standing(store) == {"r1": "good", "r2": "rejected", "in use": "r1"}
    rejected = store.slots(NAME)[1].record.history[-1]
    assert (rejected.who, rejected.why) == (
        "scanner",
        "Slides that did not come to their end with it: 3; allowed: 2.",
    )


def test_a_restart_after_a_hang_makes_an_engine_on_trial_fall_back(store: SlotStore, releases: list[Path]) -> None:
    make_good(store, releases[0])
    update(store, releases[1])
    restart_scanner(store)
    watch(store)
    assert standing(store) == {"r1": "good", "r2": "rejected", "in use": "r1"}
    assert (
        "after a hang or crash before the engine was good: 1; allowed: 0" in store.slots(NAME)[1].record.history[-1].why
    )


def test_without_a_good_engine_it_falls_back_to_the_shipped_one(store: SlotStore, releases: list[Path]) -> None:
    update(store, releases[0])
    update(store, releases[1])
    restart_scanner(store)
    assert watch(store) is None
    assert standing(store) == {"r1": "accepted", "r2": "rejected", "in use": ""}


def test_an_engine_that_turns_out_not_to_run_is_left_even_when_it_was_good(
    store: SlotStore, releases: list[Path]
) -> None:
    make_good(store, *releases[:2])
    for expected in ("r1", ""):
        slot = store.current(NAME)
        assert slot is not None
        with store.updating():
            store.rejected(slot, who="scanner", why="built for another TensorRT", now=NOW)
        assert in_use(store) == expected
    assert standing(store) == {"r1": "rejected", "r2": "rejected", "in use": ""}


def test_an_operator_goes_back_once_and_is_told_when_there_is_no_more(store: SlotStore, releases: list[Path]) -> None:
    make_good(store, *releases[:2])
    assert store.before(NAME).record.release == "r1"
    assert in_use(store) == "r2"
    assert roll_back(store).record.release == "r1"
    assert standing(store) == {"r1": "good", "r2": "rejected", "in use": "r1"}
    last = store.slots(NAME)[1].record.history[-1]
    assert (last.who, last.why) == ("J. Doe", "misses bacilli")
    with pytest.raises(NothingToGoBackTo, match=r"b holds afb-zn 1\.2\.0, rejected \(misses bacilli\)\."):
        roll_back(store)
    assert standing(store) == {"r1": "good", "r2": "rejected", "in use": "r1"}


def test_an_operator_may_go_back_to_one_that_was_replaced_before_it_was_good(
    store: SlotStore, releases: list[Path]
) -> None:
    update(store, releases[0])
    read_slides(store, 2)
    update(store, releases[1])
    slot = roll_back(store)
    assert standing(store) == {"r1": "active", "r2": "rejected", "in use": "r1"}
    assert slot.record.slides_finished == 0  # its trial begins again


def test_an_operator_never_goes_back_to_an_engine_that_was_not_used_yet(store: SlotStore, releases: list[Path]) -> None:
    make_good(store, releases[0])
    with store.updating():
        accept(store, build(store, stage(store, releases[1])))
    with pytest.raises(NothingToGoBackTo, match=r"b holds afb-zn 1\.2\.0, accepted \(all passed\)\."):
        roll_back(store)
    assert in_use(store) == "r1"


def test_with_one_engine_only_there_is_nothing_to_go_back_to(store: SlotStore, releases: list[Path]) -> None:
    make_good(store, releases[0])
    with pytest.raises(NothingToGoBackTo, match=r"no engine afb-zn to go back to\. Install"):
        roll_back(store)
    assert standing(store) == {"r1": "good", "in use": "r1"}
