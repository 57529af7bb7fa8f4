"""What an engine goes through, from its package to the slot in use and out of it."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from engines.errors import BadPackage, NotWritten
from engines.package import load_package
from engines.slots.errors import BadSlot, NothingToGoBackTo, WrongOrder
from engines.slots.store import SlotStore

from .life import (
    NAME,
    NOW,
    TRIAL,
    accept,
    activate,
    build,
    in_use,
    read_slides,
    restart_by_watchdog,
    roll_back,
    stage,
    standing,
    update,
    watch,
)


def _good(store: SlotStore, *packages: Path) -> None:
    for package in packages:
        update(store, package)
        read_slides(store)


def _start_slides(store: SlotStore, slides: int) -> None:
    with store.reading():
        for _ in range(slides):
            store.slide_started(NAME)


def test_a_device_as_delivered_has_no_engine_in_its_slots(store: SlotStore) -> None:
    assert store.names() == []
    assert store.slots(NAME) == []
    assert store.current(NAME) is None
    assert watch(store) is None


def test_the_first_update_is_used_and_can_be_opened(store: SlotStore, releases: list[Path]) -> None:
    slot = update(store, releases[0])
    assert store.names() == [NAME]
    assert store.current(NAME) == slot
    assert load_package(slot.package).title == slot.record.title == "afb-zn 1.1.0"
    assert (slot.engine / "plan").read_bytes() == b"plan of 1.1.0"
    assert (slot.folder.parent / "current").readlink() == Path("a")


def test_the_record_tells_each_step_and_seals_each_file(store: SlotStore, releases: list[Path]) -> None:
    slot = update(store, releases[0])
    record = json.loads((slot.folder / "slot.json").read_text(encoding="utf-8"))
    assert (record["schema"], record["package"], record["version"], record["release"]) == (1, NAME, "1.1.0", "r1")
    assert [step["state"] for step in record["history"]] == ["staged", "built", "accepted", "active"]
    assert record["history"][2] == {
        "at": "2026-11-28T09:30:00Z",
        "state": "accepted",
        "who": "J. Doe",
        "why": "all passed",
    }
    files = {path for path in slot.folder.rglob("*") if path.is_file() and path.name != "slot.json"}
    assert record["sealed"] == {
        path.relative_to(slot.folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }
    assert set(record["sealed"]) == {
        "package/manifest.yaml",
        "package/model.qdq.onnx",
        "package/golden/golden.yaml",
        "engine/plan",
        "acceptance.json",
        "fingerprint.json",
    }
    assert record["onnx_sha256"] == record["sealed"]["package/model.qdq.onnx"]


def test_times_are_recorded_in_utc_and_a_time_without_zone_is_refused(store: SlotStore, releases: list[Path]) -> None:
    there = datetime(2026, 11, 28, 15, 0, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    with store.updating():
        with pytest.raises(ValueError, match="no time zone"):
            store.stage(releases[0], release="r1", who="J. Doe", why="update", now=there.replace(tzinfo=None))
        slot = store.stage(releases[0], release="r1", who="J. Doe", why="update", now=there)
    assert slot.record.history[0].at.isoformat() == "2026-11-28T09:30:00+00:00"


def test_an_engine_that_nothing_is_built_for_has_no_engine_folder(store: SlotStore, releases: list[Path]) -> None:
    with store.updating():
        slot = store.built(stage(store, releases[0]), {}, who="J. Doe", why="CPU runtime", now=NOW)
        slot = activate(store, accept(store, slot))
    assert store.current(NAME) == slot
    assert not slot.engine.exists()


def test_updates_take_turns_and_never_touch_the_slot_in_use(store: SlotStore, releases: list[Path]) -> None:
    sides = []
    for package in releases:
        before = store.current(NAME)
        with store.updating():
            slot = accept(store, build(store, stage(store, package)))
            assert store.current(NAME) == before
            sides.append(activate(store, slot).side)
        read_slides(store)
    assert sides == ["a", "b", "a"]
    assert standing(store) == {"r3": "good", "r2": "good", "in use": "r3"}


def test_a_release_that_is_in_use_is_not_staged_again(store: SlotStore, releases: list[Path]) -> None:
    update(store, releases[0])
    with store.updating():
        assert stage(store, releases[0]) == store.current(NAME)
    read_slides(store)
    with store.updating():
        assert stage(store, releases[0]) == store.current(NAME)
    assert standing(store) == {"r1": "good", "in use": "r1"}


def test_an_interrupted_update_goes_on_from_where_it_stands(store: SlotStore, releases: list[Path]) -> None:
    with store.updating():
        for further in (build, accept):
            slot = stage(store, releases[0])
            assert further(store, slot).state.value in {"built", "accepted"}
        accepted = stage(store, releases[0])
        assert [step.state.value for step in accepted.record.history] == ["staged", "built", "accepted"]
        assert activate(store, accepted).state.value == "active"


def test_an_acceptance_that_was_interrupted_costs_no_second_build(store: SlotStore, releases: list[Path]) -> None:
    with store.updating():
        built = build(store, stage(store, releases[0]))
        (built.folder / "acceptance.json").write_bytes(b"all that was written before it died")
        assert stage(store, releases[0]) == built
    assert not (built.folder / "acceptance.json").exists()


def test_a_staged_release_that_was_altered_is_staged_anew(store: SlotStore, releases: list[Path]) -> None:
    with store.updating():
        slot = build(store, stage(store, releases[0]))
        (slot.engine / "plan").write_bytes(b"another")
        anew = stage(store, releases[0])
    assert anew.state.value == "staged"
    assert not anew.engine.exists()


def test_the_same_release_with_another_network_is_staged_anew(store: SlotStore, releases: list[Path]) -> None:
    with store.updating():
        stage(store, releases[0])
        slot = store.stage(releases[1], release="r1", who="J. Doe", why="update", now=NOW)
    assert slot.record.version == "1.2.0"
    assert load_package(slot.package).title == "afb-zn 1.2.0"


def test_a_rejected_release_can_be_installed_again(store: SlotStore, releases: list[Path]) -> None:
    _good(store, releases[0])
    update(store, releases[1])
    roll_back(store)
    update(store, releases[1])
    assert standing(store) == {"r1": "good", "r2": "active", "in use": "r2"}


def test_a_bad_package_leaves_the_slots_as_they_were(store: SlotStore, releases: list[Path]) -> None:
    _good(store, *releases[:2])
    (releases[2] / "model.qdq.onnx").write_bytes(b"another network")
    with store.updating(), pytest.raises(BadPackage, match="is not the file its manifest describes"):
        stage(store, releases[2])
    assert standing(store) == {"r1": "good", "r2": "good", "in use": "r2"}


def test_a_package_with_a_link_in_it_is_refused(store: SlotStore, releases: list[Path]) -> None:
    (releases[0] / "MODEL_CARD.md").symlink_to(releases[1] / "manifest.yaml")
    with store.updating(), pytest.raises(BadPackage, match=r"MODEL_CARD\.md is not a plain file"):
        stage(store, releases[0])
    assert store.slots(NAME) == []


def test_a_step_out_of_turn_is_refused_and_writes_nothing(store: SlotStore, releases: list[Path]) -> None:
    with store.updating():
        staged = stage(store, releases[0])
        with pytest.raises(WrongOrder, match=r"afb-zn 1\.1\.0 is staged and cannot become accepted"):
            accept(store, staged)
        with pytest.raises(WrongOrder, match="is staged and cannot be used"):
            activate(store, staged)
        build(store, staged)
        with pytest.raises(WrongOrder, match="is built and cannot become built"):
            build(store, staged)
    assert not (staged.folder / "acceptance.json").exists()
    assert standing(store) == {"r1": "built", "in use": ""}


def test_an_engine_that_was_altered_after_its_acceptance_is_not_activated(
    store: SlotStore, releases: list[Path]
) -> None:
    _good(store, releases[0])
    with store.updating():
        slot = accept(store, build(store, stage(store, releases[1])))
        (slot.engine / "plan").write_bytes(b"another")
        with pytest.raises(BadSlot, match="engine/plan has been altered"):
            activate(store, slot)
    assert in_use(store) == "r1"


def test_an_engine_that_failed_its_acceptance_is_never_used(store: SlotStore, releases: list[Path]) -> None:
    _good(store, releases[0])
    with store.updating():
        slot = build(store, stage(store, releases[1]))
        used = store.rejected(slot, who="J. Doe", why="finds a third less", now=NOW)
        assert used is not None
        assert used.record.release == "r1"
        with pytest.raises(WrongOrder, match="is rejected and cannot be used"):
            activate(store, slot)
        store.rejected(slot, who="J. Doe", why="asked for again", now=NOW)
    assert standing(store) == {"r1": "good", "r2": "rejected", "in use": "r1"}
    assert store.slots(NAME)[1].record.history[-1].why == "finds a third less"


def test_an_engine_is_good_after_enough_slides_and_not_before(store: SlotStore, releases: list[Path]) -> None:
    update(store, releases[0])
    read_slides(store, TRIAL.good_after - 1)
    assert standing(store)["r1"] == "active"
    read_slides(store, 1)
    assert standing(store)["r1"] == "good"
    last = store.slots(NAME)[0].record.history[-1]
    assert (last.who, last.why) == ("scanner", "3 slides came to their end with it.")


def test_slides_are_counted_until_the_engine_is_good(store: SlotStore, releases: list[Path]) -> None:
    _good(store, releases[0])
    read_slides(store)
    _start_slides(store, 10)
    restart_by_watchdog(store)
    record = store.slots(NAME)[0].record
    assert (record.slides_started, record.slides_finished, record.restarts) == (3, 3, 0)
    assert watch(store) == store.current(NAME)


def test_slides_read_with_the_shipped_engine_are_not_counted(store: SlotStore) -> None:
    read_slides(store)
    restart_by_watchdog(store)
    assert store.names() == []


def test_too_many_slides_without_an_end_make_it_fall_back(store: SlotStore, releases: list[Path]) -> None:
    _good(store, releases[0])
    update(store, releases[1])
    read_slides(store, 1)
    _start_slides(store, TRIAL.failed_allowed)
    assert watch(store) == store.current(NAME)
    assert in_use(store) == "r2"
    _start_slides(store, 1)
    watched = watch(store)
    assert watched is not None
    assert watched.record.release == "r1"
    assert standing(store) == {"r1": "good", "r2": "rejected", "in use": "r1"}
    rejected = store.slots(NAME)[1].record.history[-1]
    assert (rejected.who, rejected.why) == (
        "scanner",
        "Slides that did not come to their end with it: 3; allowed: 2.",
    )


def test_a_restart_by_the_watchdog_makes_an_engine_on_trial_fall_back(store: SlotStore, releases: list[Path]) -> None:
    _good(store, releases[0])
    update(store, releases[1])
    restart_by_watchdog(store)
    watch(store)
    assert standing(store) == {"r1": "good", "r2": "rejected", "in use": "r1"}
    assert "by the watchdog before the engine was good: 1; allowed: 0" in store.slots(NAME)[1].record.history[-1].why


def test_without_a_good_engine_it_falls_back_to_the_shipped_one(store: SlotStore, releases: list[Path]) -> None:
    update(store, releases[0])
    update(store, releases[1])
    restart_by_watchdog(store)
    assert watch(store) is None
    assert standing(store) == {"r1": "accepted", "r2": "rejected", "in use": ""}


def test_an_engine_that_turns_out_not_to_run_is_left_even_when_it_was_good(
    store: SlotStore, releases: list[Path]
) -> None:
    _good(store, *releases[:2])
    for expected in ("r1", ""):
        slot = store.current(NAME)
        assert slot is not None
        with store.updating():
            store.rejected(slot, who="scanner", why="built for another TensorRT", now=NOW)
        assert in_use(store) == expected
    assert standing(store) == {"r1": "rejected", "r2": "rejected", "in use": ""}


def test_an_operator_goes_back_once_and_is_told_when_there_is_no_more(store: SlotStore, releases: list[Path]) -> None:
    _good(store, *releases[:2])
    assert store.before(NAME).record.release == "r1"
    assert in_use(store) == "r2"
    assert roll_back(store).record.release == "r1"
    assert standing(store) == {"r1": "good", "r2": "rejected", "in use": "r1"}
    last = store.slots(NAME)[1].record.history[-1]
    assert (last.who, last.why) == ("J. Doe", "misses bacilli")
    with pytest.raises(NothingToGoBackTo, match=r"b holds afb-zn 1\.2\.0, rejected: misses bacilli"):
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
    _good(store, releases[0])
    with store.updating():
        accept(store, build(store, stage(store, releases[1])))
    with pytest.raises(NothingToGoBackTo, match=r"b holds afb-zn 1\.2\.0, accepted: all passed"):
        roll_back(store)
    assert in_use(store) == "r1"


def test_with_one_engine_only_there_is_nothing_to_go_back_to(store: SlotStore, releases: list[Path]) -> None:
    _good(store, releases[0])
    with pytest.raises(NothingToGoBackTo, match=r"b.slot\.json cannot be read: No such file"):
        roll_back(store)
    assert standing(store) == {"r1": "good", "in use": "r1"}


def test_an_engine_can_be_built_again_from_the_package_in_its_slot(store: SlotStore, releases: list[Path]) -> None:
    _good(store, releases[0])
    used = store.current(NAME)
    assert used is not None
    with store.updating():
        store.rejected(used, who="J. Doe", why="built for another TensorRT", now=NOW)
        slot = store.stage(used.package, release="r1 again", who="J. Doe", why="new JetPack", now=NOW)
        activate(store, accept(store, build(store, slot)))
    assert standing(store) == {"r1 again": "active", "in use": "r1 again"}


def test_two_engines_do_not_touch_each_other(store: SlotStore, releases: list[Path], tmp_path: Path) -> None:
    _good(store, releases[0])
    other = shutil.copytree(releases[1], tmp_path / "other")
    manifest = other / "manifest.yaml"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("name: afb-zn", "name: serous"), encoding="utf-8")
    update(store, other)
    assert store.names() == [NAME, "serous"]
    assert standing(store) == {"r1": "good", "in use": "r1"}


def test_a_full_disk_is_named_and_the_update_can_be_started_again(store: SlotStore, releases: list[Path]) -> None:
    _good(store, releases[0])
    blocked = store.slots(NAME)[0].folder.with_name("b")
    blocked.write_bytes(b"no folder can be made here")
    with store.updating(), pytest.raises(NotWritten, match="b cannot be read or written") as refused:
        stage(store, releases[1])
    assert "start again" in refused.value.remedy
    assert in_use(store) == "r1"
    blocked.unlink()
    update(store, releases[1])
    assert in_use(store) == "r2"


@pytest.mark.parametrize("target", ["c", "../afb-zn/a"])
def test_a_link_that_names_no_slot_is_not_followed(store: SlotStore, releases: list[Path], target: str) -> None:
    _good(store, *releases[:2])
    link = store.slots(NAME)[0].folder.with_name("current")
    link.unlink()
    link.symlink_to(target)
    with pytest.raises(BadSlot, match=f"names {target}, which is no slot"):
        store.current(NAME)
    assert watch(store) is not None
    assert link.readlink() == Path("a")


def test_an_engine_that_was_never_accepted_is_not_used_though_the_link_names_it(
    store: SlotStore, releases: list[Path]
) -> None:
    _good(store, releases[0])
    with store.updating():
        slot = build(store, stage(store, releases[1]))
    link = slot.folder.with_name("current")
    link.unlink()
    link.symlink_to("b")
    with pytest.raises(BadSlot, match="b is in use and was never accepted"):
        store.current(NAME)
    watch(store)
    assert standing(store) == {"r1": "good", "r2": "rejected", "in use": "r1"}
