"""What an engine goes through on its way into use, from its package to the slot in use."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from engines.errors import BadPackage, NotWritten
from engines.package import load_package
from engines.slots.errors import BadSlot, WrongOrder
from engines.slots.store import SlotStore

from .life import (
    KEY_IDS,
    NAME,
    NOW,
    accept,
    activate,
    build,
    golden_of,
    in_use,
    make_good,
    read_slides,
    roll_back,
    stage,
    standing,
    update,
    watch,
)


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
        "golden/golden.yaml",
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


def test_a_slot_keeps_the_golden_fields_and_the_key_ids_of_its_release(store: SlotStore, releases: list[Path]) -> None:
    slot = update(store, releases[0])
    assert slot.golden is not None
    kept = {path.name: path.read_bytes() for path in slot.golden.iterdir()}
    assert kept == {"golden.yaml": b"seen by: 1.1.0\n"}
    assert slot.record.signing_key_ids == KEY_IDS
    assert store.current(NAME) == slot


def test_a_release_without_golden_fields_leaves_none_and_those_of_the_one_before_are_gone(
    store: SlotStore, releases: list[Path]
) -> None:
    make_good(store, *releases[:2])
    with store.updating():
        slot = store.stage(releases[2], release="r3", who="J. Doe", why="update", now=NOW)
    assert slot.golden is None
    assert not (slot.folder / "golden").exists()
    assert slot.record.signing_key_ids == ()


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
    make_good(store, releases[0])
    update(store, releases[1])
    roll_back(store)
    update(store, releases[1])
    assert standing(store) == {"r1": "good", "r2": "active", "in use": "r2"}


def test_a_bad_package_leaves_the_slots_as_they_were(store: SlotStore, releases: list[Path]) -> None:
    make_good(store, *releases[:2])
    (releases[2] / "model.qdq.onnx").write_bytes(b"another network")
    with store.updating(), pytest.raises(BadPackage, match="is not the file its manifest describes"):
        stage(store, releases[2])
    assert standing(store) == {"r1": "good", "r2": "good", "in use": "r2"}


@pytest.mark.parametrize("where", [Path, golden_of])
def test_a_release_with_a_link_in_it_is_refused(
    store: SlotStore, releases: list[Path], where: Callable[[Path], Path]
) -> None:
    (where(releases[0]) / "MODEL_CARD.md").symlink_to(releases[1] / "manifest.yaml")
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
    make_good(store, releases[0])
    with store.updating():
        slot = accept(store, build(store, stage(store, releases[1])))
        (slot.engine / "plan").write_bytes(b"another")
        with pytest.raises(BadSlot, match="engine/plan has been altered"):
            activate(store, slot)
    assert in_use(store) == "r1"


def test_an_engine_that_failed_its_acceptance_is_never_used(store: SlotStore, releases: list[Path]) -> None:
    make_good(store, releases[0])
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


def test_an_engine_can_be_built_again_from_what_its_slot_keeps_of_its_release(
    store: SlotStore, releases: list[Path]
) -> None:
    make_good(store, releases[0])
    used = store.current(NAME)
    assert used is not None
    with store.updating():
        store.rejected(used, who="J. Doe", why="built for another TensorRT", now=NOW)
        slot = store.stage(
            used.package,
            release="r1 again",
            who="J. Doe",
            why="new JetPack",
            now=NOW,
            golden=used.golden,
            key_ids=used.record.signing_key_ids,
        )
        again = activate(store, accept(store, build(store, slot)))
    assert standing(store) == {"r1 again": "active", "in use": "r1 again"}
    assert (again.record.sealed, again.record.signing_key_ids) == (used.record.sealed, KEY_IDS)


def test_two_engines_do_not_touch_each_other(store: SlotStore, releases: list[Path], tmp_path: Path) -> None:
    make_good(store, releases[0])
    other = shutil.copytree(releases[1], tmp_path / "other")
    shutil.copytree(golden_of(releases[1]), golden_of(other))
    manifest = other / "manifest.yaml"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("name: afb-zn", "name: serous"), encoding="utf-8")
    update(store, other)
    assert store.names() == [NAME, "serous"]
    assert standing(store) == {"r1": "good", "in use": "r1"}


def test_a_full_disk_is_named_and_the_update_can_be_started_again(store: SlotStore, releases: list[Path]) -> None:
    make_good(store, releases[0])
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
    make_good(store, *releases[:2])
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
    make_good(store, releases[0])
    with store.updating():
        slot = build(store, stage(store, releases[1]))
    link = slot.folder.with_name("current")
    link.unlink()
    link.symlink_to("b")
    with pytest.raises(BadSlot, match="b is in use and was never accepted"):
        store.current(NAME)
    watch(store)
    assert standing(store) == {"r1": "good", "r2": "rejected", "in use": "r1"}
