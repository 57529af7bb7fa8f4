"""Keys change, and devices follow; who holds only the old ones is left behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from engines.releases.errors import BadKey, Refusal
from engines.releases.layout import STICK_FOLDER
from engines.releases.repository import renew
from tests.engines.releases.conftest import Device
from tests.engines.releases.maker import BORN, Maker, new_keys, on_stick


def _change_all_root_keys(maker: Maker) -> None:
    old = maker.root_keys
    maker.rotate(root=new_keys(3))
    maker.sign([*old[:2], *maker.root_keys[:2]])


def _change_the_targets_key(maker: Maker) -> None:
    maker.rotate(targets=new_keys(1)[0])
    maker.sign(maker.root_keys[:2])
    renew(maker.folder, now=BORN)
    maker.sign([maker.targets_key])


def test_a_device_two_roots_behind_follows(maker: Maker, device: Device, tmp_path: Path) -> None:
    device.install(maker.export(tmp_path / "first"))
    _change_all_root_keys(maker)
    _change_the_targets_key(maker)
    assert device.install(maker.export(tmp_path / "second"))
    assert {"metadata/root_history/2.root.json", "metadata/root_history/3.root.json"} <= device.state().keys()


def test_a_new_device_with_an_old_root_follows(maker: Maker, device: Device, tmp_path: Path) -> None:
    _change_all_root_keys(maker)
    _change_the_targets_key(maker)
    assert device.install(maker.export(tmp_path / "stick"))


def test_an_application_that_carries_the_new_root_takes_new_and_known_sticks(
    maker: Maker, device: Device, tmp_path: Path
) -> None:
    device.install(maker.export(tmp_path / "first"))
    _change_all_root_keys(maker)
    device.root = (maker.folder / "metadata" / "2.root.json").read_bytes()
    device.install(tmp_path / "first")
    assert device.install(maker.export(tmp_path / "second"))


def test_a_list_signed_only_by_the_old_key_is_refused_after_the_change(
    maker: Maker, device: Device, tmp_path: Path
) -> None:
    thief = maker.copy(tmp_path / "thief")
    _change_the_targets_key(maker)
    device.install(maker.export(tmp_path / "stick"))
    for version in ("6.6.6", "6.6.7"):
        thief.release(version)
        thief.export(tmp_path / "stolen")
    assert device.refusal(tmp_path / "stolen") is Refusal.WRONG_KEYS


def test_an_exporting_machine_that_was_stolen_is_shut_out(maker: Maker, device: Device, tmp_path: Path) -> None:
    device.install(maker.export(tmp_path / "first"))
    thief = maker.copy(tmp_path / "thief")
    maker.rotate(online=new_keys(1)[0])
    maker.sign(maker.root_keys[:2])
    device.install(maker.export(tmp_path / "second"))
    for _ in range(3):
        thief.export(tmp_path / "stolen")
    assert device.refusal(tmp_path / "stolen") is Refusal.WRONG_KEYS
    assert device.install(tmp_path / "second")


def test_a_next_root_signed_only_by_the_old_keys_is_refused_after_the_change(
    maker: Maker, device: Device, tmp_path: Path
) -> None:
    thief = maker.copy(tmp_path / "thief")
    _change_all_root_keys(maker)
    device.install(maker.export(tmp_path / "stick"))
    for _ in range(2):
        thief.rotate()
        thief.sign(thief.root_keys[:2])
    assert device.refusal(thief.export(tmp_path / "stolen")) is Refusal.WRONG_KEYS


@pytest.mark.parametrize(("old", "new"), [(1, 2), (2, 1), (0, 3)])
def test_a_next_root_with_too_few_signatures_is_refused(
    maker: Maker, device: Device, tmp_path: Path, old: int, new: int
) -> None:
    keys = maker.root_keys
    maker.rotate(root=new_keys(3))
    maker.sign([*keys[:old], *maker.root_keys[:new]])
    stick = maker.export(tmp_path / "stick")
    assert not (stick / STICK_FOLDER / "metadata" / "2.root.json").exists()
    shutil.copy(maker.folder / "preparing" / "root.json", stick / STICK_FOLDER / "metadata" / "2.root.json")
    assert device.refusal(stick) is Refusal.WRONG_KEYS


def test_a_next_root_with_an_altered_signature_is_tampered(maker: Maker, device: Device, tmp_path: Path) -> None:
    _change_all_root_keys(maker)
    stick = maker.export(tmp_path / "stick")
    path = on_stick(stick, "metadata/2.root.json")
    content = json.loads(path.read_bytes())
    content["signatures"][0]["sig"] = content["signatures"][1]["sig"]
    path.write_text(json.dumps(content))
    assert device.refusal(stick) is Refusal.TAMPERED


def test_a_cut_next_root_is_incomplete(maker: Maker, device: Device, tmp_path: Path) -> None:
    _change_all_root_keys(maker)
    stick = maker.export(tmp_path / "stick")
    path = on_stick(stick, "metadata/2.root.json")
    path.write_bytes(path.read_bytes()[:-10])
    assert device.refusal(stick) is Refusal.INCOMPLETE


def test_a_root_under_another_number_is_mixed(maker: Maker, device: Device, tmp_path: Path) -> None:
    _change_all_root_keys(maker)
    stick = maker.export(tmp_path / "stick")
    shutil.copy(on_stick(stick, "metadata/1.root.json"), on_stick(stick, "metadata/2.root.json"))
    assert device.refusal(stick) is Refusal.MIXED


def test_a_root_on_the_stick_is_never_where_trust_begins(maker: Maker, device: Device, tmp_path: Path) -> None:
    stranger = Maker(tmp_path / "stranger")
    stranger.release("1.0.0")
    stick = stranger.export(tmp_path / "stick")
    shutil.copy(maker.folder / "metadata" / "1.root.json", on_stick(stick, "metadata/1.root.json"))
    assert device.refusal(stick) is Refusal.WRONG_KEYS


def test_an_application_without_a_valid_root_takes_nothing(maker: Maker, device: Device, tmp_path: Path) -> None:
    stick = maker.export(tmp_path / "stick")
    maker.rotate(root=new_keys(3))
    maker.sign(maker.root_keys[:1])
    for root in (b"", (maker.folder / "preparing" / "root.json").read_bytes()):
        device.root = root
        with pytest.raises(BadKey, match="root of trust"):
            device.open(stick)
