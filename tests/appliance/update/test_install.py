"""A package becomes the engine in use, step by step; what fails on the way leaves the engine in use as it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.update.errors import NotAccepted
from appliance.update.install import Candidate, built_again, origin
from engines.acceptance.errors import BadGolden
from engines.acceptance.golden import Golden, load_golden
from engines.building.errors import BuildStopped, NotEnough, TensorRtAbsent
from engines.cuda.errors import CudaError
from engines.errors import EngineError, NotWritten
from engines.fingerprint import Fingerprint
from engines.package import EnginePackage, load_package
from engines.runtimes import CpuRuntime
from engines.slots.record import State
from engines.slots.slot import ACCEPTANCE, Slot
from engines.slots.store import SlotStore
from engines.tensorrt.errors import BuildFailed

from .small import DECISION, NAME, NOW, CountingRuntime, Device, Engine, contents, read_slides

WHO = {"who": "J. Doe", "why": "finds more", "now": NOW}


def never_drawn(package: EnginePackage) -> Golden:
    pytest.fail(f"the release of {package.title} brings golden fields")


def candidate(engine: Engine, release: str = "r1") -> Candidate:
    return Candidate(engine.package, engine.golden, never_drawn, release, ("key 1",))


def install(device: Device, engine: Engine, release: str = "r1") -> Slot:
    store = device.store
    with store.updating():
        return device.installer(store).install(candidate(engine, release), DECISION)


@pytest.fixture
def newer(engine: Engine, tmp_path: Path) -> Engine:
    return engine.version(tmp_path / "newer", "2.0.0")


def test_a_package_is_staged_built_accepted_and_active(device: Device, engine: Engine) -> None:
    slot = install(device, engine)
    assert [step.state.value for step in slot.record.history] == ["staged", "built", "accepted", "active"]
    assert {(step.who, step.why, step.at) for step in slot.record.history} == {("J. Doe", "finds more", NOW)}
    assert device.store.current(NAME) == slot
    assert load_package(slot.package).onnx_bytes == load_package(engine.package).onnx_bytes
    assert device.progress == [("Timing", 1, 1)]
    assert device.told[0] == "Building redness 1.2.3 for Orin."
    assert device.told[-1] == "redness 1.2.3 is in use, on trial."


def test_what_it_was_made_of_and_accepted_on_lies_beside_it(device: Device, engine: Engine) -> None:
    slot = install(device, engine)
    report = json.loads((slot.folder / ACCEPTANCE).read_bytes())
    assert report["passed"]
    assert report["golden_sha256"] == load_golden(engine.golden).sha256
    assert {"cpu_parity", "expected_scores"} <= {check["name"] for check in report["checks"]}
    for check in report["checks"]:
        assert f"  passed: {check['sentence']}" in device.told
    made = Fingerprint.model_validate_json(slot.fingerprint.read_bytes())
    assert (made.gpu, made.tensorrt, made.builder_options) == ("Orin", "10.3.0", {"workspace_mib": 64})
    assert made.signing_key_ids == ("key 1",)


def test_the_golden_fields_and_key_ids_of_the_release_stay_with_the_engine(device: Device, engine: Engine) -> None:
    slot = install(device, engine)
    assert slot.golden is not None
    assert contents(slot.golden) == contents(engine.golden)
    assert slot.record.signing_key_ids == ("key 1",)


def test_an_engine_without_golden_fields_is_tried_on_drawn_ones_which_do_not_stay(
    device: Device, engine: Engine
) -> None:
    store = device.store
    with store.updating():
        slot = device.installer(store).install(
            replace(candidate(engine), golden=None, draw=engine.load_golden), DECISION
        )
    report = json.loads((slot.folder / ACCEPTANCE).read_bytes())
    assert report["golden_sha256"] == load_golden(engine.golden).sha256
    assert slot.golden is None


def test_on_the_processor_nothing_is_built_and_all_steps_are_taken(tmp_path: Path, engine: Engine) -> None:
    device = Device(tmp_path / "device", runtime=CpuRuntime(tmp_path / "record.json"))  # type: ignore[arg-type]
    slot = install(device, engine)
    assert slot.state is State.ACTIVE
    assert not slot.engine.exists()
    assert not any("Building" in line for line in device.told)
    made = Fingerprint.model_validate_json(slot.fingerprint.read_bytes())
    assert (made.gpu, made.tensorrt) == (None, None)


def test_an_engine_that_is_not_accepted_is_rejected_with_each_failure_and_the_old_one_stays(
    device: Device, engine: Engine, newer: Engine
) -> None:
    install(device, engine)
    with pytest.raises(NotAccepted, match=r"redness 2\.0\.0 was not accepted") as caught:
        install(device, newer.promises_too_much(), "r2")
    assert device.standing() == {"1.2.3": "active", "2.0.0": "rejected", "in use": "1.2.3"}
    failures = [line.removeprefix("  FAILED: ") for line in device.told if line.startswith("  FAILED: ")]
    assert len(failures) == 2
    for failure in failures:
        assert failure in caught.value.what
    (rejected,) = (slot for slot in device.store.slots(NAME) if slot.state is State.REJECTED)
    assert rejected.record.history[-1].why == caught.value.what


def test_a_build_that_fails_is_rejected_and_the_old_engine_stays(device: Device, engine: Engine, newer: Engine) -> None:
    install(device, engine)
    device.runtime.fails = BuildFailed("TensorRT built nothing.", remedy="Send the log to the maker.")
    with pytest.raises(BuildFailed):
        install(device, newer, "r2")
    assert device.standing() == {"1.2.3": "active", "2.0.0": "rejected", "in use": "1.2.3"}
    device.runtime.fails = None
    install(device, newer, "r2")
    assert device.standing() == {"1.2.3": "accepted", "2.0.0": "active", "in use": "2.0.0"}


@pytest.mark.parametrize("kind", [NotEnough, CudaError, NotWritten, TensorRtAbsent, BuildStopped])
def test_what_says_nothing_against_the_engine_leaves_it_staged_and_the_same_update_goes_on(
    device: Device, engine: Engine, newer: Engine, kind: type[EngineError]
) -> None:
    install(device, engine)
    device.runtime.fails = kind("Not now.", remedy="Later.")
    with pytest.raises(kind):
        install(device, newer, "r2")
    assert device.standing() == {"1.2.3": "active", "2.0.0": "staged", "in use": "1.2.3"}
    device.runtime.fails = None
    slot = install(device, newer, "r2")
    assert [step.state.value for step in slot.record.history] == ["staged", "built", "accepted", "active"]
    assert device.standing()["in use"] == "2.0.0"


def _staged(store: SlotStore, engine: Engine) -> Slot:
    return store.stage(engine.package, release="r1", **WHO)  # type: ignore[arg-type]


def _built(store: SlotStore, engine: Engine) -> Slot:
    files = CountingRuntime().build(load_package(engine.package), lambda *_: None)
    return store.built(_staged(store, engine), files, **WHO)  # type: ignore[arg-type]


def _accepted(store: SlotStore, engine: Engine) -> Slot:
    return store.accepted(_built(store, engine), b"{}", b"{}", **WHO)  # type: ignore[arg-type]


def _active(store: SlotStore, engine: Engine) -> Slot:
    return store.activate(_accepted(store, engine), **WHO)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stands", "builds", "tries"), [(_staged, 1, 1), (_built, 0, 1), (_accepted, 0, 0), (_active, 0, 0)]
)
def test_from_each_state_it_goes_on_and_no_step_is_done_twice(
    device: Device, engine: Engine, stands: Callable[[SlotStore, Engine], Slot], builds: int, tries: int
) -> None:
    store = device.store
    with store.updating():
        before = stands(store, engine)
    slot = install(device, engine)
    assert (device.runtime.builds, device.runtime.opened) == (builds, tries)
    assert [step.state.value for step in slot.record.history] == ["staged", "built", "accepted", "active"]
    assert slot.folder == before.folder


def test_a_good_engine_in_the_other_slot_is_used_again_as_it_lies_there(
    device: Device, engine: Engine, newer: Engine
) -> None:
    install(device, engine)
    read_slides(device.store)
    install(device, newer, "r2")
    device.runtime = CountingRuntime()
    install(device, engine)
    assert device.standing() == {"1.2.3": "good", "2.0.0": "accepted", "in use": "1.2.3"}
    assert (device.runtime.builds, device.runtime.opened) == (0, 0)
    assert device.told[-1] == "redness 1.2.3 is in use, good."


def test_a_package_that_is_not_whole_changes_nothing(device: Device, engine: Engine, newer: Engine) -> None:
    install(device, engine)
    (newer.package / "model.qdq.onnx").write_bytes(b"altered")
    with pytest.raises(EngineError, match="is not the file its manifest describes"):
        install(device, newer, "r2")
    assert device.standing() == {"1.2.3": "active", "in use": "1.2.3"}


def test_golden_fields_that_cannot_be_had_change_nothing(device: Device, engine: Engine) -> None:
    with pytest.raises(BadGolden, match="nowhere"):
        install(device, replace(engine, golden=engine.golden / "nowhere"))
    assert device.standing() == {"in use": ""}


def test_golden_fields_of_another_network_change_nothing(device: Device, engine: Engine, newer: Engine) -> None:
    install(device, engine)
    with pytest.raises(BadGolden, match="of the network 000000000000"):
        install(device, newer.with_golden_of_another_network(), "r2")
    assert device.standing() == {"1.2.3": "active", "in use": "1.2.3"}
    assert device.runtime.builds == 1


def test_a_release_that_is_built_again_and_again_is_still_known_by_its_origin() -> None:
    once = built_again("afb-zn-1.0.0.tar sha256:0a", NOW)
    assert once == "afb-zn-1.0.0.tar sha256:0a, built again 2026-11-28T09:30:00Z"
    assert built_again(once, NOW) == once
    assert origin(once) == origin(origin(once)) == "afb-zn-1.0.0.tar sha256:0a"
