"""What a device trusts is changed whole or not at all, and damage is never taken for a fresh start."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.errors import NotWritten
from engines.releases.errors import Refusal, TrustDamaged
from tests.engines.releases.conftest import Device
from tests.engines.releases.maker import BORN, DAY, Maker
from tests.engines.slots.dying import changes_of, dies_at

# Forking a process that runs threads is deprecated; the child only touches files and dies.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def test_killed_at_any_step_the_device_trusts_the_old_or_the_new_release(
    maker: Maker, device: Device, tmp_path: Path
) -> None:
    device.install(maker.export(tmp_path / "first"))
    old = device.state()
    maker.release("1.1.0")
    stick = maker.export(tmp_path / "second", now=BORN + DAY)
    floors = []
    while dies_at(len(floors) + 1, lambda: device.install(stick)):
        floors.append(device.trusted.floor())
        assert (device.state() == old) == (floors[-1] == BORN)
        assert device.open(stick).packages
    assert floors.count(BORN) > 20
    assert floors == sorted(floors)
    assert floors[-1] == device.trusted.floor() == BORN + DAY
    assert device.refusal(tmp_path / "first") is Refusal.ROLLED_BACK


def test_every_file_is_forced_to_the_disk_before_it_is_trusted(maker: Maker, device: Device, tmp_path: Path) -> None:
    stick = maker.export(tmp_path / "stick")
    changes = changes_of(lambda: device.install(stick), tmp_path / "changes")
    in_force = next(place for place, (_, *paths) in enumerate(changes) if paths[-1].endswith("trusted/current"))
    forced = {Path(paths[0]) for what, *paths in changes[:in_force] if what == "fsync"}
    state = (device.folder / "trusted" / "current").resolve()
    assert {path.resolve() for path in (state, *state.rglob("*"))} <= forced


@pytest.mark.parametrize("name", ["root.json", "timestamp.json", "snapshot.json", "targets.json"])
def test_damaged_metadata_is_an_error_as_it_would_let_an_older_release_in(
    maker: Maker, device: Device, tmp_path: Path, name: str
) -> None:
    old = maker.export(tmp_path / "old")
    device.install(maker.export(tmp_path / "new"))
    path = device.folder / "trusted" / "current" / "metadata" / name
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(TrustDamaged, match="cannot be read"):
        device.open(old)
    path.unlink()
    with pytest.raises(TrustDamaged):
        device.open(old)


def test_a_lost_state_is_an_error_as_it_would_let_an_older_release_in(
    maker: Maker, device: Device, tmp_path: Path
) -> None:
    old = maker.export(tmp_path / "old")
    device.install(maker.export(tmp_path / "new"))
    (device.folder / "trusted" / "current").resolve().rename(tmp_path / "lost")
    with pytest.raises(TrustDamaged):
        device.open(old)


def test_a_folder_of_trust_reached_through_a_link_works_as_well(maker: Maker, device: Device, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    device.folder.symlink_to(tmp_path / "disk")
    stick = maker.export(tmp_path / "stick")
    device.install(stick)
    assert device.install(stick)


def test_a_disk_that_refuses_is_named(maker: Maker, device: Device, tmp_path: Path) -> None:
    device.folder.mkdir()
    (device.folder / "trusted").write_text("a file where a folder should be")
    with pytest.raises(NotWritten, match="trusted"):
        device.open(maker.export(tmp_path / "stick"))
