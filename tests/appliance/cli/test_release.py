"""`cytoscan release …` as makers run it, one keyholder after the other, and what a device makes of their sticks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.cli.app import run
from appliance.cli.exits import Exit
from engines.package import load_package, shipped
from engines.releases.archive import GOLDEN, PACKAGE, unpack
from tests.appliance.cli.engine_site import ABSENT, Site, put_gpu
from tests.appliance.update.small import Engine, memory

PASSPHRASE = "a long one"  # noqa: S105
KEYS = ("root-1", "root-2", "root-3", "targets", "online")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with memory() as folder:
        yield folder


@dataclass
class House:
    """A maker's keys and release folder."""

    folder: Path

    @property
    def release(self) -> Path:
        return self.folder / "release"

    def key(self, name: str) -> Path:
        return self.folder / name

    def run(self, *arguments: str | Path) -> int:
        return run(["release", *map(str, arguments)])

    def keyring(self, *roots: str, targets: str = "targets", online: str = "online") -> list[str]:
        """Options of `create` and `rotate`."""
        told = [("root", root) for root in roots or KEYS[:3]]
        told += [("targets", targets), ("snapshot", online), ("timestamp", online)]
        return [word for role, name in told for word in (f"--{role}", f"{self.key(name)}.pub")]

    def sign(self, *names: str, add: Path | None = None) -> None:
        more = () if add is None else ("--add", add)
        for name in names:
            assert self.run("sign", self.release, "--key", self.key(name), *more) == 0

    def make(self, engine: Engine, out: str = "made") -> Path:
        """The archive."""
        folder = self.folder / out
        assert self.run("make", engine.package, "--golden", engine.golden, "--out", folder) == 0
        (archive,) = folder.iterdir()
        return archive

    def export(self, stick: Path, *more: str) -> int:
        stick.mkdir(exist_ok=True)
        return self.run("export", self.release, stick, "--key", self.key("online"), *more)

    @property
    def root(self) -> bytes:
        """As devices carry it: the first."""
        return (self.release / "metadata" / "1.root.json").read_bytes()


@pytest.fixture(scope="module")
def first_house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """Made once; each test gets a copy."""
    made = House(tmp_path_factory.mktemp("house"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CYTOSCAN_PASSPHRASE", PASSPHRASE)
        for name in KEYS:
            assert made.run("keygen", made.key(name)) == 0
        assert made.run("create", made.release, *made.keyring()) == 0
        made.sign("root-1", "root-3")
    return made


@pytest.fixture
def house(first_house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """Keys with a passphrase, and a first root that two of three root keys have signed."""
    monkeypatch.setenv("CYTOSCAN_PASSPHRASE", PASSPHRASE)
    return House(shutil.copytree(first_house.folder, tmp_path / "house"))


@pytest.fixture
def site(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A device that takes the house's releases, and has no GPU."""
    put_gpu(monkeypatch, ABSENT)
    return Site(tmp_path / "device", house.root)


def test_a_package_goes_all_the_way_from_keys_to_the_engine_in_use(
    house: House, site: Site, engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    house.sign("targets", add=house.make(engine))
    assert capsys.readouterr().out.splitlines()[-1] == "Nothing waits for a signature."
    assert house.export(tmp_path / "stick") == 0
    assert "is whole. Eject the stick before it is pulled out." in capsys.readouterr().out
    assert site.update(tmp_path / "stick") == 0
    assert site.standing() == {"1.2.3": "active", "in use": "1.2.3"}


def test_what_is_made_twice_has_the_same_bytes_and_holds_package_and_golden_fields(
    house: House, engine: Engine, tmp_path: Path
) -> None:
    one, other = house.make(engine, "one"), house.make(engine, "other")
    assert one.name == "redness-1.2.3.tar"
    assert one.read_bytes() == other.read_bytes()
    unpack(one, tmp_path / "inside")
    assert load_package(tmp_path / "inside" / PACKAGE).onnx_bytes == load_package(engine.package).onnx_bytes
    assert {path.name for path in (tmp_path / "inside" / GOLDEN).iterdir()} == {
        path.name for path in engine.golden.iterdir()
    }


@pytest.mark.parametrize("missing", [True, False])
def test_golden_fields_of_another_package_make_no_release(
    house: House, engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, missing: bool
) -> None:
    golden = tmp_path / "none" if missing else engine.golden
    out = tmp_path / "made"
    assert house.run("make", shipped("afb"), "--golden", golden, "--out", out) == Exit.ENGINE
    told = capsys.readouterr().err
    assert ("golden.yaml is missing." if missing else "The golden fields are of the network") in told
    assert not out.exists()


def test_a_root_waits_until_enough_of_its_keys_have_signed_it(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(house.release)
    assert house.run("create", house.release, *house.keyring(), "--threshold", "3") == 0
    assert capsys.readouterr().out.startswith("root 1 waits: signed by 0, may be signed by ")
    house.sign("root-1", "root-2")
    assert capsys.readouterr().out.splitlines()[-1].startswith("root 1 waits: signed by 2, may be signed by ")
    assert not (house.release / "metadata").exists()
    assert house.run("sign", house.release, "--key", house.key("online")) == Exit.ENGINE  # no key of roots
    house.sign("root-3")
    assert house.root
    assert house.run("create", house.release, *house.keyring()) == Exit.ENGINE  # there is one already
    assert house.run("create", house.key("other"), *house.keyring("root-1")) == Exit.ENGINE  # two of one


def test_keys_open_with_their_passphrase_or_plainly_without_one(
    house: House, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = house.make(engine)
    sign = ("sign", house.release, "--add", archive, "--key", house.key("targets"))
    monkeypatch.setenv("CYTOSCAN_PASSPHRASE", "another one")
    assert house.run(*sign) == Exit.ENGINE
    assert house.run(*sign, "--plain") == Exit.ENGINE
    monkeypatch.setenv("CYTOSCAN_PASSPHRASE", PASSPHRASE)
    assert house.run(*sign) == 0
    plain = house.key("plain")
    assert house.run("keygen", plain, "--plain") == 0
    assert "ENCRYPTED" not in plain.read_text()
    assert "ENCRYPTED" in house.key("targets").read_text()
    assert plain.stat().st_mode & 0o077 == 0
    assert house.run("keygen", plain, "--plain") == Exit.ENGINE  # never replaced
    monkeypatch.setenv("CYTOSCAN_PASSPHRASE", "")
    assert house.run("keygen", house.key("empty")) == Exit.ENGINE


def test_nothing_is_exported_before_the_packages_are_signed(house: House, tmp_path: Path) -> None:
    assert house.export(tmp_path / "stick") == Exit.ENGINE
    assert not any((tmp_path / "stick").iterdir())


def test_with_new_keys_old_sticks_are_made_anew_and_devices_follow(
    house: House, site: Site, engine: Engine, tmp_path: Path
) -> None:
    house.sign("targets", add=house.make(engine))
    assert house.export(tmp_path / "first") == 0
    assert site.update(tmp_path / "first") == 0
    for name in ("root-4", "targets-2"):
        house.run("keygen", house.key(name))
    assert house.run("rotate", house.release, *house.keyring("root-2", "root-3", "root-4", targets="targets-2")) == 0
    house.sign("root-3", "root-1")  # enough of the old ones, not of the new
    assert not (house.release / "metadata" / "2.root.json").exists()
    house.sign("root-4")
    assert (house.release / "metadata" / "2.root.json").exists()
    assert house.export(tmp_path / "second") == Exit.ENGINE  # the list is still signed by the old key
    assert house.run("renew", house.release) == 0
    assert house.run("sign", house.release, "--key", house.key("targets")) == Exit.ENGINE
    house.sign("targets-2", add=house.make(engine.version(tmp_path / "newer", "2.0.0"), "newer"))
    assert house.export(tmp_path / "second") == 0
    assert site.update(tmp_path / "second") == 0
    assert site.standing() == {"1.2.3": "accepted", "2.0.0": "active", "in use": "2.0.0"}
    assert site.update(tmp_path / "first") == Exit.RELEASE_REFUSED


def test_a_stick_lives_as_many_days_as_are_asked_for(house: House, site: Site, engine: Engine, tmp_path: Path) -> None:
    house.sign("targets", add=house.make(engine))
    assert house.export(tmp_path / "stick", "--days", "5000") == Exit.ENGINE  # longer than the list of packages
    assert house.export(tmp_path / "stick", "--days", "0") == Exit.USAGE
    assert house.export(tmp_path / "stick", "--days", "1") == 0
    assert site.update(tmp_path / "stick") == 0


def test_a_package_that_asks_for_a_newer_application_waits_for_it(
    house: House, site: Site, engine: Engine, tmp_path: Path
) -> None:
    archive = house.make(engine)
    sign = ("sign", house.release, "--add", archive, "--key", house.key("targets"))
    assert house.run(*sign, "--min-app", "99") == Exit.USAGE
    assert house.run(*sign, "--min-app", "99.0.0") == 0
    assert house.export(tmp_path / "stick") == 0
    assert site.update(tmp_path / "stick") == 0
    assert site.result["outcomes"][0]["fate"] == "needs a newer application"
    assert site.store.names() == []


def test_a_package_is_not_replaced_by_another_of_its_version(house: House, engine: Engine, tmp_path: Path) -> None:
    house.sign("targets", add=house.make(engine))
    other = house.make(engine.version(tmp_path / "other", "1.2.3", report_threshold=0.3), "other")
    assert house.run("sign", house.release, "--add", other, "--key", house.key("targets")) == Exit.ENGINE
