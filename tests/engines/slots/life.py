"""Small releases of one engine, and what an updater and a scanner do with them."""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from pathlib import Path

import yaml

from engines.package import MANIFEST
from engines.slots.record import State
from engines.slots.slot import Slot
from engines.slots.store import SlotStore
from engines.slots.trial import Trial

NAME = "afb-zn"
KEY_IDS = ("key 1", "key 2")
NOW = datetime(2026, 11, 28, 9, 30, tzinfo=timezone.utc)
TRIAL = Trial(good_after=3, failed_allowed=2)


def write_release(folder: Path, version: str) -> Path:
    """A whole package in a folder, golden fields beside it; its network is a few bytes, which nothing here runs."""
    network = f"network of {version}".encode()
    golden = golden_of(folder)
    for made in (folder, golden):
        made.mkdir(parents=True)
    (folder / "model.qdq.onnx").write_bytes(network)
    (golden / "golden.yaml").write_text(f"seen by: {version}\n", encoding="utf-8")
    manifest = {
        "schema": 1,
        "name": NAME,
        "version": version,
        "assay": "afb",
        "labels": [{"name": "afb", "target": True, "box_um": [4, 4], "separation_um": 1}],
        "scale": {"native_um_per_px": 0.15, "min_um_per_px": 0.1, "max_um_per_px": 0.2},
        "input": {"name": "image", "dtype": "uint8", "layout": "NHWC"},
        "output": {"name": "probability", "dtype": "float32", "layout": "NCHW", "stride": 4},
        "onnx": {"file": "model.qdq.onnx", "sha256": hashlib.sha256(network).hexdigest(), "opset": 17},
        "report_threshold": 0.2,
        "operating_point": {
            "name": "none",
            "threshold": 0.5,
            "sensitivity": 0.5,
            "false_per_mm2": 1,
            "false_per_cell": 0,
            "source": "none",
        },
        "training_data": [{"name": "none", "licence": "none", "used_for": "none"}],
        "quantisation": {
            "scheme": "s8-symmetric-qdq",
            "calibration_images": 1,
            "calibration_sha256": "0" * 64,
            "calibration_source": "none",
            "tool": "none",
        },
        "intended_use": "research-use-only",
    }
    (folder / MANIFEST).write_text(yaml.safe_dump(manifest), encoding="utf-8")
    return folder


def golden_of(package: Path) -> Path:
    """Where the golden fields of a release lie."""
    return package.with_name(f"golden of {package.name}")


def stage(store: SlotStore, package: Path) -> Slot:
    """The release of a package is named after its folder."""
    return store.stage(
        package,
        release=package.name,
        who="J. Doe",
        why="update",
        now=NOW,
        golden=golden_of(package),
        key_ids=KEY_IDS,
    )


def build(store: SlotStore, slot: Slot) -> Slot:
    plan = b"plan of " + slot.record.version.encode()
    return store.built(slot, {"plan": plan}, who="J. Doe", why="update", now=NOW)


def accept(store: SlotStore, slot: Slot) -> Slot:
    return store.accepted(slot, b'{"passed": true}', b'{"sm": "8.7"}', who="J. Doe", why="all passed", now=NOW)


def activate(store: SlotStore, slot: Slot) -> Slot:
    return store.activate(slot, who="J. Doe", why="update", now=NOW)


def update(store: SlotStore, package: Path) -> Slot:
    """All of an update, from wherever an earlier one was interrupted."""
    with store.updating():
        slot = stage(store, package)
        if slot.state is State.STAGED:
            slot = build(store, slot)
        if slot.state is State.BUILT:
            slot = accept(store, slot)
        return activate(store, slot)


def make_good(store: SlotStore, *packages: Path) -> None:
    """Install one after the other, and read so many slides with each that it is good."""
    for package in packages:
        update(store, package)
        read_slides(store)


def start_slides(store: SlotStore, slides: int) -> None:
    with store.reading():
        for _ in range(slides):
            store.slide_started(NAME)


def read_slides(store: SlotStore, slides: int = TRIAL.good_after) -> None:
    for _ in range(slides):
        with store.reading():
            store.slide_started(NAME)
            store.slide_finished(NAME, TRIAL, who="scanner", now=NOW)


def restart_scanner(store: SlotStore) -> None:
    with store.updating():
        store.scanner_restarted(NAME)


def watch(store: SlotStore) -> Slot | None:
    with store.updating():
        return store.watch(NAME, TRIAL, who="scanner", now=NOW)


def roll_back(store: SlotStore) -> Slot:
    with store.updating():
        return store.roll_back(NAME, who="J. Doe", why="misses bacilli", now=NOW)


def standing(store: SlotStore) -> dict[str, str]:
    """Release and state of what lies in the slots, and which release is in use ("" where none is)."""
    held = {slot.record.release: slot.state.value for slot in store.slots(NAME)}
    return {**held, "in use": in_use(store)}


def in_use(store: SlotStore) -> str:
    current = store.current(NAME)
    return current.record.release if current else ""
