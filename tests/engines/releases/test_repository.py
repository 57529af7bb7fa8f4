"""The maker's steps: each in its order, with the keys it needs, and nothing done twice."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from engines.errors import NotWritten
from engines.releases.errors import ReleaseNotMade
from engines.releases.layout import STICK_FOLDER
from engines.releases.publishing import publish
from engines.releases.repository import add, create, renew, rotate_root
from engines.releases.signing import sign, waiting
from tests.engines.releases.conftest import Device
from tests.engines.releases.maker import BORN, DAY, Maker, listing, new_keys
from tests.engines.slots.dying import changes_of, dies_at


def _fresh(maker: Maker, folder: Path) -> Path:
    """A second release folder of the same maker, its root not signed yet."""
    create(folder, maker.keyring(), now=BORN)
    return folder


def test_a_root_waits_until_enough_different_keys_have_signed_it(maker: Maker, tmp_path: Path) -> None:
    folder = _fresh(maker, tmp_path / "release")
    first, second, third = maker.root_keys
    for _ in range(2):
        (draft,) = sign(folder, first)
        assert (draft.role, draft.version, draft.signed) == ("root", 1, (first.public_key.keyid,))
        assert set(draft.unsigned) == {second.public_key.keyid, third.public_key.keyid}
    assert not (folder / "metadata").exists()
    assert sign(folder, third) == ()
    assert [path.name for path in (folder / "metadata").iterdir()] == ["1.root.json"]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_signature_killed_at_any_step_is_made_by_signing_again(maker: Maker, tmp_path: Path) -> None:
    key = maker.targets_key
    renew(maker.folder, now=BORN)
    twins = 0
    twin = maker.copy(tmp_path / "0")
    while dies_at(twins + 1, partial(sign, twin.folder, key)):
        if not (twin.folder / "metadata" / "2.targets.json").exists():
            sign(twin.folder, key)
        assert waiting(twin.folder) == ()
        twins += 1
        twin = maker.copy(tmp_path / str(twins))
    assert twins > 4


def test_only_a_key_of_the_role_may_sign(maker: Maker, tmp_path: Path) -> None:
    folder = _fresh(maker, tmp_path / "release")
    for key in (maker.targets_key, *new_keys(1)):
        with pytest.raises(ReleaseNotMade, match=r"Nothing in .* waits for the key"):
            sign(folder, key)
    assert waiting(folder)[0].signed == ()


def test_a_root_that_can_never_be_signed_is_not_drafted(maker: Maker, tmp_path: Path) -> None:
    twice = (maker.root_keys[0].public_key,) * 2
    for keyring in (
        replace(maker.keyring(), threshold=4),
        replace(maker.keyring(), threshold=0),
        replace(maker.keyring(), root=twice),
    ):
        with pytest.raises(ReleaseNotMade, match="root keys cannot sign"):
            create(tmp_path / "release", keyring, now=BORN)
    assert not (tmp_path / "release").exists()


def test_a_release_folder_is_begun_once_and_one_root_is_drafted_at_a_time(maker: Maker, tmp_path: Path) -> None:
    with pytest.raises(ReleaseNotMade, match="already"):
        create(maker.folder, maker.keyring(), now=BORN)
    with pytest.raises(ReleaseNotMade, match="no signed root"):
        rotate_root(_fresh(maker, tmp_path / "release"), maker.keyring(), now=BORN)
    maker.rotate()
    with pytest.raises(ReleaseNotMade, match="waits for signatures"):
        maker.rotate()


def test_several_packages_added_are_signed_at_once(maker: Maker, device: Device, tmp_path: Path) -> None:
    for version in ("1.1.0", "1.2.0"):
        (tmp_path / "made.tar").write_text(version)
        add(maker.folder, tmp_path / "made.tar", listing(version), now=BORN)
    (draft,) = waiting(maker.folder)
    assert (draft.role, draft.version) == ("targets", 2)
    maker.sign([maker.targets_key])
    assert len(device.install(maker.export(tmp_path / "stick"))) == 3


def test_adding_the_same_file_again_changes_nothing(maker: Maker) -> None:
    before = sorted(path for path in maker.folder.rglob("*"))
    (tar,) = (maker.folder / "targets").iterdir()
    add(maker.folder, tar, listing("1.0.0"), now=BORN)
    assert sorted(path for path in maker.folder.rglob("*")) == before
    assert waiting(maker.folder) == ()


def test_a_version_is_never_given_twice(maker: Maker, tmp_path: Path) -> None:
    (tmp_path / "other.tar").write_bytes(b"other")
    with pytest.raises(ReleaseNotMade, match=r"another afb-zn-1\.0\.0\.tar"):
        add(maker.folder, tmp_path / "other.tar", listing("1.0.0"), now=BORN)
    assert len(list((maker.folder / "targets").iterdir())) == 1


def test_a_package_that_is_not_there_is_named(maker: Maker, tmp_path: Path) -> None:
    with pytest.raises(ReleaseNotMade, match=r"no archive at .*absent\.tar"):
        add(maker.folder, tmp_path / "absent.tar", listing("1.1.0"), now=BORN)


def test_nothing_is_published_before_root_and_list_are_signed(maker: Maker, tmp_path: Path) -> None:
    folder = _fresh(maker, tmp_path / "release")
    signers = [maker.snapshot_key, maker.timestamp_key]
    with pytest.raises(ReleaseNotMade, match="no signed root"):
        publish(folder, signers, now=BORN)
    for key in maker.root_keys[:2]:
        sign(folder, key)
    with pytest.raises(ReleaseNotMade, match="no signed targets"):
        publish(folder, signers, now=BORN)


def test_a_list_may_be_drafted_before_the_root_is_signed(maker: Maker, tmp_path: Path) -> None:
    folder = _fresh(maker, tmp_path / "release")
    renew(folder, now=BORN)
    assert [draft.role for draft in waiting(folder)] == ["root"]
    for key in maker.root_keys[:2]:
        sign(folder, key)
    assert [draft.role for draft in waiting(folder)] == ["targets"]
    assert sign(folder, maker.targets_key) == ()


@pytest.mark.parametrize("role", ["snapshot", "timestamp"])
def test_each_key_of_the_exporting_machine_is_needed(maker: Maker, tmp_path: Path, role: str) -> None:
    signers = {"snapshot": maker.snapshot_key, "timestamp": maker.timestamp_key}
    signers[role] = maker.targets_key
    with pytest.raises(ReleaseNotMade, match=f"may sign the {role}"):
        publish(maker.folder, list(signers.values()), now=BORN)
    assert not (maker.folder / "metadata" / "1.snapshot.json").exists()


def test_a_stick_is_not_promised_a_longer_life_than_root_and_list_have(maker: Maker, tmp_path: Path) -> None:
    with pytest.raises(ReleaseNotMade, match=r"targets in .* runs out on 2105-01-02"):
        maker.export(tmp_path / "stick", now=BORN + 1500 * DAY)
    renew(maker.folder, now=BORN + 1500 * DAY)
    maker.sign([maker.targets_key])
    assert maker.export(tmp_path / "stick", now=BORN + 1500 * DAY)


def test_a_list_signed_by_a_key_that_was_changed_is_not_exported(maker: Maker, tmp_path: Path) -> None:
    maker.rotate(targets=new_keys(1)[0])
    maker.sign(maker.root_keys[:2])
    with pytest.raises(ReleaseNotMade, match="not signed by the key"):
        maker.export(tmp_path / "stick")


def test_a_maker_whose_clock_went_back_is_stopped(maker: Maker, tmp_path: Path) -> None:
    maker.export(tmp_path / "stick", now=BORN + DAY)
    with pytest.raises(ReleaseNotMade, match="clock"):
        maker.export(tmp_path / "stick", now=BORN)


def test_a_draft_that_another_machine_has_overtaken_is_not_signed(maker: Maker, tmp_path: Path) -> None:
    twin = maker.copy(tmp_path / "twin")
    twin.rotate()
    twin.sign(twin.root_keys[:2])
    maker.rotate()
    published = twin.folder / "metadata" / "2.root.json"
    (maker.folder / "metadata" / "2.root.json").write_bytes(published.read_bytes())
    with pytest.raises(ReleaseNotMade, match="Another root was published"):
        sign(maker.folder, maker.root_keys[0])


def test_the_tenth_version_comes_after_the_ninth(maker: Maker) -> None:
    for _ in range(10):
        renew(maker.folder, now=BORN)
        maker.sign([maker.targets_key])
    assert len(list((maker.folder / "metadata").glob("*.targets.json"))) == 11


def test_a_damaged_document_in_the_release_folder_is_named(maker: Maker) -> None:
    path = maker.folder / "metadata" / "1.targets.json"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ReleaseNotMade, match=r"1\.targets\.json cannot be read"):
        renew(maker.folder, now=BORN)
    (maker.folder / "metadata" / "1.root.json").rename(path)
    with pytest.raises(ReleaseNotMade, match="is not a targets"):
        renew(maker.folder, now=BORN)


def test_a_stick_holds_all_roots_the_newest_of_the_rest_and_nothing_of_before(maker: Maker, tmp_path: Path) -> None:
    stick = maker.export(tmp_path / "stick")
    (stick / "photos").mkdir()
    for leftover in (f".{STICK_FOLDER}.part", f".{STICK_FOLDER}.old"):
        shutil.copytree(stick / STICK_FOLDER, stick / leftover)
    maker.rotate()
    maker.sign(maker.root_keys[:2])
    maker.release("1.1.0")
    maker.export(stick)
    assert sorted(path.name for path in stick.iterdir()) == [STICK_FOLDER, "photos"]
    names = sorted(path.name for path in (stick / STICK_FOLDER / "metadata").iterdir())
    assert names == ["1.root.json", "2.root.json", "2.snapshot.json", "2.targets.json", "timestamp.json"]
    assert len(list((stick / STICK_FOLDER / "targets").iterdir())) == 2


def test_a_stick_that_refuses_keeps_what_it_had(maker: Maker, tmp_path: Path) -> None:
    stick = maker.export(tmp_path / "stick")
    before = json.loads((stick / STICK_FOLDER / "metadata" / "timestamp.json").read_bytes())
    next((maker.folder / "targets").iterdir()).unlink()
    with pytest.raises(NotWritten, match=r"afb-zn-1\.0\.0\.tar cannot be read"):
        maker.export(stick)
    assert json.loads((stick / STICK_FOLDER / "metadata" / "timestamp.json").read_bytes()) == before


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_an_export_killed_at_any_step_leaves_a_whole_release_or_none(
    maker: Maker, device: Device, tmp_path: Path
) -> None:
    good = maker.export(tmp_path / "good")
    seen: list[int] = []
    stick = shutil.copytree(good, tmp_path / "0")
    while dies_at(len(seen) + 1, partial(maker.export, stick)):
        seen.append(device.open(stick).version if (stick / STICK_FOLDER).exists() else 0)
        stick = shutil.copytree(good, tmp_path / str(len(seen)))
    assert seen[0] == 1 < seen[-1]
    assert seen.count(0) == 1  # between two renames


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_every_file_is_forced_to_the_stick_before_the_release_has_its_name(maker: Maker, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    changes = changes_of(lambda: maker.export(stick), tmp_path / "changes")
    named = next(place for place, (_, *paths) in enumerate(changes) if paths[-1] == str(stick / STICK_FOLDER))
    forced = {Path(paths[0]).name for what, *paths in changes[:named] if what == "fsync" and str(stick) in paths[0]}
    assert {path.name for path in (stick / STICK_FOLDER).rglob("*")} <= forced
