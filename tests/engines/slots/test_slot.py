"""What was altered, torn or lost in a slot is found, named and not used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engines.slots.errors import BadSlot
from engines.slots.slot import Slot
from engines.slots.store import SlotStore

from .life import NAME, read_slides, standing, update, watch


@pytest.fixture
def slot(store: SlotStore, releases: list[Path]) -> Slot:
    """The slot in use, good; a good engine lies in the other one."""
    for package in releases[:2]:
        update(store, package)
        read_slides(store)
    current = store.current(NAME)
    assert current is not None
    return current


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _lose(path: Path) -> None:
    path.unlink()


SEALED = [
    "package/manifest.yaml",
    "package/model.qdq.onnx",
    "golden/golden.yaml",
    "engine/plan",
    "acceptance.json",
    "fingerprint.json",
]


@pytest.mark.parametrize("name", SEALED)
@pytest.mark.parametrize("harm", [_flip, _truncate, _lose])
def test_a_file_that_was_harmed_is_named_and_the_other_engine_is_used(
    store: SlotStore, slot: Slot, name: str, harm: Callable[[Path], None]
) -> None:
    harm(slot.folder / name)
    with pytest.raises(BadSlot, match=rf"b/{name} (has been altered|is missing)"):
        store.current(NAME)
    assert watch(store) == store.current(NAME)
    assert standing(store) == {"r1": "good", "r2": "rejected", "in use": "r1"}
    assert f"b/{name} " in store.slots(NAME)[1].record.history[-1].why


def test_a_file_that_became_a_link_is_refused(store: SlotStore, slot: Slot) -> None:
    plan = slot.engine / "plan"
    plan.rename(slot.folder.parent / "plan")
    plan.symlink_to(slot.folder.parent / "plan")
    with pytest.raises(BadSlot, match="engine/plan has been altered"):
        store.current(NAME)


def test_a_file_that_was_added_is_refused(store: SlotStore, slot: Slot) -> None:
    (slot.engine / "plugin.so").write_bytes(b"")
    with pytest.raises(BadSlot, match=r"engine/plugin\.so does not belong to afb-zn 1\.2\.0"):
        store.current(NAME)


@pytest.mark.parametrize("harm", [_truncate, _lose])
def test_a_slot_whose_record_is_torn_counts_as_empty_and_the_other_engine_is_used(
    store: SlotStore, slot: Slot, releases: list[Path], harm: Callable[[Path], None]
) -> None:
    harm(slot.folder / "slot.json")
    with pytest.raises(BadSlot, match=r"b/slot\.json (is not a valid record|cannot be read)"):
        store.current(NAME)
    assert watch(store) == store.current(NAME)
    assert standing(store) == {"r1": "good", "in use": "r1"}
    update(store, releases[1])
    assert standing(store) == {"r1": "good", "r2": "active", "in use": "r2"}


def test_at_no_length_is_a_torn_record_taken_for_a_whole_one(store: SlotStore, slot: Slot) -> None:
    path = slot.folder / "slot.json"
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        assert [held.side for held in store.slots(NAME)] == ["a"]


def test_a_record_of_another_schema_is_not_guessed_at(store: SlotStore, slot: Slot) -> None:
    path = slot.folder / "slot.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"schema": 1', '"schema": 2'), encoding="utf-8")
    with pytest.raises(BadSlot, match=r"slot\.json is not a valid record: schema: "):
        store.current(NAME)


def test_a_record_from_before_the_keys_were_kept_is_read_and_names_none(store: SlotStore, slot: Slot) -> None:
    path = slot.folder / "slot.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    del told["signing_key_ids"]
    path.write_text(json.dumps(told), encoding="utf-8")
    current = store.current(NAME)
    assert current is not None
    assert current.record == slot.record.model_copy(update={"signing_key_ids": ()})


def test_with_both_engines_harmed_the_shipped_one_is_used(store: SlotStore, slot: Slot) -> None:
    for side in ("a", "b"):
        _flip(slot.folder.with_name(side) / "engine" / "plan")
    assert watch(store) is None
    assert store.current(NAME) is None


def test_the_draft_of_a_record_that_a_crash_left_does_no_harm(store: SlotStore, slot: Slot) -> None:
    (slot.folder / "slot.json.part").write_bytes(b"{")
    assert store.current(NAME) == slot
