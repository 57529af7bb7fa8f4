"""What a device takes from a stick, and what it refuses and why."""

from __future__ import annotations

import copy
import os
import shutil
from pathlib import Path

import pytest

from engines.errors import NotWritten
from engines.releases.errors import Refusal, ReleaseRefused
from engines.releases.fetcher import BASE_URL, StickFetcher
from engines.releases.layout import STICK_FOLDER
from tests.engines.releases.conftest import Device
from tests.engines.releases.maker import BORN, DAY, Maker, forge, listing, new_keys, on_stick


def test_a_first_release_is_offered_downloaded_and_trusted(maker: Maker, device: Device, tmp_path: Path) -> None:
    offer = device.open(maker.export(tmp_path / "stick", now=BORN + DAY))
    (package,) = offer.packages
    assert (package.name, package.listing) == ("afb-zn-1.0.0.tar", listing("1.0.0"))
    assert offer.key_ids == (maker.targets_key.public_key.keyid,)
    assert (offer.version, offer.signed_at, offer.expires) == (1, BORN + DAY, BORN + 401 * DAY)
    content = offer.download(package).read_bytes()
    assert content == b"package 1.0.0 " * 1000
    assert len(content) == package.length_bytes
    assert device.state() == {}
    offer.commit()
    assert {"metadata/timestamp.json", "metadata/targets.json", "floor.json"} <= device.state().keys()
    assert device.trusted.floor() == BORN + DAY


def test_a_newer_release_is_taken_and_the_same_stick_once_more(maker: Maker, device: Device, tmp_path: Path) -> None:
    device.install(maker.export(tmp_path / "first"))
    maker.release("1.1.0")
    second = maker.export(tmp_path / "second")
    assert [content[:14] for content in device.install(second)] == [b"package 1.0.0 ", b"package 1.1.0 "]
    trusted = device.state()
    device.install(second)
    assert device.state() == trusted


def test_an_older_stick_is_a_rollback(maker: Maker, device: Device, tmp_path: Path) -> None:
    old = maker.export(tmp_path / "old")
    maker.release("1.1.0")
    device.install(maker.export(tmp_path / "new"))
    assert device.refusal(old) is Refusal.ROLLED_BACK


def test_an_older_list_under_a_newer_timestamp_is_a_rollback(maker: Maker, device: Device, tmp_path: Path) -> None:
    maker.release("1.1.0")
    device.install(maker.export(tmp_path / "new"))
    (maker.folder / "metadata" / "2.targets.json").unlink()
    assert device.refusal(maker.export(tmp_path / "stick")) is Refusal.ROLLED_BACK


def test_a_stick_that_was_looked_at_and_not_committed_hinders_no_older_one(
    maker: Maker, device: Device, tmp_path: Path
) -> None:
    good = maker.export(tmp_path / "good")
    maker.release("1.1.0")
    bad = maker.export(tmp_path / "bad")
    torn = on_stick(bad, "targets/*1.1.0.tar")
    torn.write_bytes(torn.read_bytes()[:-1])
    offer = device.open(bad)
    with pytest.raises(ReleaseRefused) as caught:
        offer.download(offer.packages[1])
    assert caught.value.kind is Refusal.INCOMPLETE
    assert device.install(good) == [b"package 1.0.0 " * 1000]


def test_only_the_stick_opened_last_can_be_committed(maker: Maker, device: Device, tmp_path: Path) -> None:
    old = device.open(maker.export(tmp_path / "old"))
    device.install(maker.export(tmp_path / "new"))
    trusted = device.state()
    with pytest.raises(NotWritten):
        old.commit()
    assert device.state() == trusted


def test_what_was_only_looked_at_is_cleared_away(maker: Maker, device: Device, tmp_path: Path) -> None:
    stick = maker.export(tmp_path / "stick")
    device.install(stick)
    for _ in range(3):
        device.open(stick)
    assert len(list((device.folder / "trusted").iterdir())) == 3  # current, what it names, and the last look


def test_a_list_of_another_release_is_mixed(maker: Maker, device: Device, tmp_path: Path) -> None:
    first = maker.export(tmp_path / "first")
    maker.release("1.1.0")
    second = maker.export(tmp_path / "second")
    shutil.copy(on_stick(first, "metadata/1.targets.json"), on_stick(second, "metadata/2.targets.json"))
    assert device.refusal(second) is Refusal.MIXED


def test_a_longer_list_of_another_release_is_mixed_and_not_too_large(
    maker: Maker, device: Device, tmp_path: Path
) -> None:
    first = maker.export(tmp_path / "first")
    maker.release("1.1.0")
    second = maker.export(tmp_path / "second")
    shutil.copy(on_stick(second, "metadata/2.targets.json"), on_stick(first, "metadata/1.targets.json"))
    assert device.refusal(first) is Refusal.MIXED


def test_a_timestamp_of_another_release_is_mixed(maker: Maker, device: Device, tmp_path: Path) -> None:
    first = maker.export(tmp_path / "first")
    second = maker.export(tmp_path / "second")
    shutil.copy(on_stick(first, "metadata/1.snapshot.json"), on_stick(second, "metadata/2.snapshot.json"))
    assert device.refusal(second) is Refusal.MIXED


def test_another_maker_has_the_wrong_keys(device: Device, tmp_path: Path) -> None:
    stranger = Maker(tmp_path / "stranger")
    stranger.release("1.0.0")
    assert device.refusal(stranger.export(tmp_path / "stick")) is Refusal.WRONG_KEYS


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_a_document_signed_by_a_stranger_is_refused(maker: Maker, device: Device, tmp_path: Path, role: str) -> None:
    stick = maker.export(tmp_path / "stick")
    forge(on_stick(stick, f"metadata/*{role}.json"), *new_keys(1))
    assert device.refusal(stick) is Refusal.WRONG_KEYS


def test_the_exporting_machine_cannot_list_a_package(maker: Maker, device: Device, tmp_path: Path) -> None:
    stick = maker.export(tmp_path / "stick")
    forge(on_stick(stick, "metadata/*targets.json"), maker.snapshot_key, maker.timestamp_key)
    maker.vouch(stick)
    assert device.refusal(stick) is Refusal.WRONG_KEYS


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_a_document_altered_after_it_was_signed_is_refused(
    maker: Maker, device: Device, tmp_path: Path, role: str
) -> None:
    stick = maker.export(tmp_path / "stick")
    forge(on_stick(stick, f"metadata/*{role}.json"), expires="2199-01-01T00:00:00Z")
    assert device.refusal(stick) is Refusal.TAMPERED


def test_no_flipped_bit_of_the_metadata_changes_what_is_offered(maker: Maker, device: Device, tmp_path: Path) -> None:
    stick = maker.export(tmp_path / "stick")
    good = device.open(stick).packages
    refused = 0
    for path in sorted((stick / STICK_FOLDER / "metadata").iterdir()):
        data = path.read_bytes()
        for place in range(0, len(data), 41):
            path.write_bytes(data[:place] + bytes([data[place] ^ 1 << place % 7]) + data[place + 1 :])
            try:
                assert device.open(stick).packages == good
            except ReleaseRefused:
                refused += 1
        path.write_bytes(data)
    assert refused > 30


def test_an_altered_package_is_refused(maker: Maker, device: Device, tmp_path: Path) -> None:
    stick = maker.export(tmp_path / "stick")
    tar = on_stick(stick, "targets/*")
    tar.write_bytes(b"P" + tar.read_bytes()[1:])
    assert _refused_package(device, stick) is Refusal.TAMPERED


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_a_document_cut_short_is_incomplete(
    maker: Maker, device: Device, tmp_path: Path, role: str, kept: float
) -> None:
    stick = maker.export(tmp_path / "stick")
    path = on_stick(stick, f"metadata/*{role}.json")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    assert device.refusal(stick) is Refusal.INCOMPLETE


@pytest.mark.parametrize("name", ["timestamp.json", "1.snapshot.json", "1.targets.json"])
def test_a_missing_document_makes_it_incomplete(maker: Maker, device: Device, tmp_path: Path, name: str) -> None:
    stick = maker.export(tmp_path / "stick")
    on_stick(stick, f"metadata/{name}").unlink()
    assert device.refusal(stick) is Refusal.INCOMPLETE


def test_a_missing_or_cut_package_makes_it_incomplete(maker: Maker, device: Device, tmp_path: Path) -> None:
    stick = maker.export(tmp_path / "stick")
    tar = on_stick(stick, "targets/*")
    tar.write_bytes(tar.read_bytes()[:100])
    assert _refused_package(device, stick) is Refusal.INCOMPLETE
    tar.unlink()
    assert _refused_package(device, stick) is Refusal.INCOMPLETE


@pytest.mark.parametrize("name", ["metadata/timestamp.json", "metadata", "."])
def test_metadata_behind_a_link_is_refused_even_if_genuine(
    maker: Maker, device: Device, tmp_path: Path, name: str
) -> None:
    stick = maker.export(tmp_path / "stick")
    path = stick / STICK_FOLDER / name
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert device.refusal(stick) is Refusal.SYMLINK


@pytest.mark.parametrize("whole_folder", [True, False])
def test_a_package_behind_a_link_is_refused_even_if_genuine(
    maker: Maker, device: Device, tmp_path: Path, whole_folder: bool
) -> None:
    stick = maker.export(tmp_path / "stick")
    tar = on_stick(stick, "targets/*")
    path = tar.parent if whole_folder else tar
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert _refused_package(device, stick) is Refusal.SYMLINK


def test_a_pipe_or_a_folder_in_the_place_of_a_file_is_refused_and_not_waited_for(
    maker: Maker, device: Device, tmp_path: Path
) -> None:
    stick = maker.export(tmp_path / "stick")
    path = on_stick(stick, "metadata/timestamp.json")
    path.unlink()
    os.mkfifo(path)
    assert device.refusal(stick) is Refusal.TAMPERED
    path.unlink()
    path.mkdir()
    assert device.refusal(stick) is Refusal.TAMPERED


def test_a_name_cannot_lead_out_of_the_release(maker: Maker, tmp_path: Path) -> None:
    stick = maker.export(tmp_path / "stick")
    (stick / "secret").write_text("secret")
    with pytest.raises(ReleaseRefused) as caught:
        b"".join(StickFetcher(stick).fetch(f"{BASE_URL}metadata/../../secret"))
    assert caught.value.kind is Refusal.TAMPERED


@pytest.mark.parametrize(("role", "padding"), [("timestamp", 1 << 14), ("snapshot", 1 << 18), ("targets", 1 << 22)])
def test_a_document_that_never_ends_is_too_large(
    maker: Maker, device: Device, tmp_path: Path, role: str, padding: int
) -> None:
    stick = maker.export(tmp_path / "stick")
    with on_stick(stick, f"metadata/*{role}.json").open("ab") as stream:
        stream.write(b" " * padding)
    assert device.refusal(stick) is Refusal.TOO_LARGE


def test_a_package_longer_than_signed_is_too_large(maker: Maker, device: Device, tmp_path: Path) -> None:
    stick = maker.export(tmp_path / "stick")
    with on_stick(stick, "targets/*").open("ab") as stream:
        stream.write(b"x")
    assert _refused_package(device, stick) is Refusal.TOO_LARGE


def test_a_package_beyond_the_devices_limit_is_too_large_before_it_is_copied(
    maker: Maker, device: Device, tmp_path: Path
) -> None:
    offer = device.open(maker.export(tmp_path / "stick"), max_package_bytes=100)
    with pytest.raises(ReleaseRefused) as caught:
        offer.download(offer.packages[0])
    assert caught.value.kind is Refusal.TOO_LARGE
    assert list((device.folder / "scratch").iterdir()) == []


def test_a_stick_without_a_release_or_no_stick_at_all(device: Device, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert device.refusal(tmp_path / "empty") is Refusal.NO_RELEASE
    assert device.refusal(tmp_path / "absent") is Refusal.NO_RELEASE


@pytest.mark.parametrize(
    ("name", "custom"),
    [("afb-zn-1.0.0.tar", {"engine": "afb"}), ("../afb-zn-1.0.0.tar", listing("1.0.0").model_dump())],
)
def test_a_genuine_list_in_a_form_unknown_here_is_not_understood(
    maker: Maker, device: Device, tmp_path: Path, name: str, custom: dict[str, object]
) -> None:
    stick = maker.export(tmp_path / "stick")
    target = {"length": 3, "hashes": {"sha256": "0" * 64}, "custom": custom}
    forge(on_stick(stick, "metadata/*targets.json"), maker.targets_key, targets={name: target})
    maker.vouch(stick)
    assert device.refusal(stick) is Refusal.NOT_UNDERSTOOD


def test_a_field_added_by_a_later_maker_is_no_hindrance(maker: Maker, device: Device, tmp_path: Path) -> None:
    stick = maker.export(tmp_path / "stick")
    target = {"length": 3, "hashes": {"sha256": "0" * 64}, "custom": {**listing("1.0.0").model_dump(), "new": 1}}
    forge(on_stick(stick, "metadata/*targets.json"), maker.targets_key, targets={"afb-zn-1.0.0.tar": target})
    maker.vouch(stick)
    assert device.open(stick).packages[0].listing == listing("1.0.0")


def test_every_refusal_has_a_remedy_and_stays_whole_between_processes() -> None:
    for kind in Refusal:
        again = copy.copy(ReleaseRefused("What happened.", kind=kind))
        assert (again.what, again.kind) == ("What happened.", kind)
        assert again.remedy.endswith(".")


def _refused_package(device: Device, stick: Path) -> Refusal:
    """Why the first package of a stick is refused, whose list is good."""
    offer = device.open(stick)
    with pytest.raises(ReleaseRefused) as caught:
        offer.download(offer.packages[0])
    assert str(stick) in caught.value.what
    assert list((device.folder / "scratch").iterdir()) == []
    return caught.value.kind
