"""What a stick makes of a device, and what a bad one does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.update.errors import NotAccepted
from appliance.update.install import Candidate
from appliance.update.stick import Fate, Outcome, Wish, update_from
from drivers.errors import CameraLost
from engines.acceptance.golden import Golden
from engines.building.errors import NotEnough
from engines.errors import BadPackage, EngineError
from engines.fingerprint import Fingerprint
from engines.package import EnginePackage, load_package, shipped_as
from engines.releases.archive import pack
from engines.releases.errors import Refusal, ReleaseRefused
from engines.releases.fields import describe
from engines.releases.repository import add
from engines.releases.signing import sign
from engines.releases.trusted import Trusted
from engines.releases.verify import open_stick
from engines.slots.record import State
from tests.engines.releases.maker import BORN, DAY, Maker, on_stick

from .small import DECISION, NAME, Device, Engine, contents, read_slides, release

OTHER = "paleness"


@dataclass
class Field:
    """A device that takes this maker's sticks."""

    device: Device
    maker: Maker
    sticks: Path
    golden: Engine | None = None
    lost: CameraLost | None = None
    drawn: int = 0

    def stick(self, name: str, *, days: int = 0) -> Path:
        """The maker's release as it stands, exported on that day."""
        return self.maker.export(self.sticks / name, now=BORN + days * DAY)

    def update(
        self, stick: Path, only: Sequence[str] = (), *, dry_run: bool = False, app_version: str = "0.1.0"
    ) -> list[Outcome]:
        store, folder = self.device.store, self.device.folder
        scratch = self.sticks / "scratch"
        scratch.mkdir(exist_ok=True)
        with store.updating():
            offer = open_stick(stick, self.trusted, self.maker.root, now=BORN, scratch=scratch)
            done = update_from(
                offer,
                store,
                self.device.installer(store),
                DECISION,
                Wish(only, dry_run),
                app_version=app_version,
                golden_fields=self._draw,
                scratch=scratch,
                tell=self.device.told.append,
            )
        assert not any(scratch.iterdir()), folder
        return done

    @property
    def trusted(self) -> Trusted:
        return Trusted(self.device.folder / "trusted", built_at=BORN)

    def _draw(self, package: EnginePackage) -> Golden:
        if self.lost is not None:
            raise self.lost
        self.drawn += 1
        assert self.golden is not None
        return self.golden.load_golden(package)


@pytest.fixture
def field(device: Device, maker: Maker, tmp_path: Path) -> Field:
    return Field(device, maker, tmp_path)


@pytest.fixture
def newer(engine: Engine, tmp_path: Path) -> Engine:
    return engine.version(tmp_path / "newer", "2.0.0")


def fates(outcomes: list[Outcome]) -> dict[str, Fate]:
    return {outcome.package: outcome.fate for outcome in outcomes}


def test_all_packages_on_a_stick_are_installed_and_the_stick_is_trusted(
    field: Field, engine: Engine, tmp_path: Path
) -> None:
    release(field.maker, engine)
    release(field.maker, engine.version(tmp_path / "other", "1.0.0", name=OTHER))
    outcomes = field.update(field.stick("stick", days=3))
    assert fates(outcomes) == {"paleness-1.0.0.tar": Fate.INSTALLED, "redness-1.2.3.tar": Fate.INSTALLED}
    assert field.device.store.names() == [OTHER, NAME]
    assert field.trusted.floor() == BORN + 1 * DAY  # the device's clock, and a day
    assert field.drawn == 0
    slot = field.device.store.current(NAME)
    assert slot is not None
    assert slot.record.release == outcomes[1].release
    assert field.maker.targets_key.public_key.keyid in slot.record.signing_key_ids
    assert slot.record.signing_key_ids == Fingerprint.model_validate_json(slot.fingerprint.read_bytes()).signing_key_ids
    assert slot.golden is not None
    assert contents(slot.golden) == contents(engine.golden)


def test_the_same_stick_once_more_changes_nothing(field: Field, engine: Engine) -> None:
    release(field.maker, engine)
    stick = field.stick("stick")
    field.update(stick)
    before = contents(field.device.folder / "engines")
    assert fates(field.update(stick)) == {"redness-1.2.3.tar": Fate.IN_USE}
    assert contents(field.device.folder / "engines") == before
    assert field.device.runtime.builds == 1


def test_of_several_versions_the_newest_is_installed(field: Field, engine: Engine, tmp_path: Path) -> None:
    for version in ("9.0.0", "10.0.0", "9.9.9"):
        release(field.maker, engine.version(tmp_path / version, version))
    assert fates(field.update(field.stick("stick"))) == {"redness-10.0.0.tar": Fate.INSTALLED}


def test_a_bad_newer_stick_leaves_the_engine_in_use_and_the_good_older_one_still_works(
    field: Field, engine: Engine, newer: Engine, tmp_path: Path
) -> None:
    release(field.maker, engine)
    field.update(field.stick("first"))
    read_slides(field.device.store)
    release(field.maker, newer)
    good = field.stick("good", days=1)
    release(field.maker, engine.version(tmp_path / "bad", "3.0.0").promises_too_much())
    (outcome,) = field.update(field.stick("bad", days=2))
    assert (outcome.fate, type(outcome.error)) == (Fate.REFUSED, NotAccepted)
    assert outcome.error is not None
    assert outcome.why == outcome.error.what
    assert field.device.standing() == {"1.2.3": "good", "3.0.0": "rejected", "in use": "1.2.3"}
    assert fates(field.update(good)) == {"redness-2.0.0.tar": Fate.INSTALLED}
    assert field.device.standing() == {"1.2.3": "good", "2.0.0": "active", "in use": "2.0.0"}


def test_after_a_stick_that_was_good_in_part_the_older_one_takes_the_device_back(
    field: Field, engine: Engine, newer: Engine, tmp_path: Path
) -> None:
    release(field.maker, engine)
    first = field.stick("first")
    field.update(first)
    read_slides(field.device.store)
    release(field.maker, newer)
    release(field.maker, engine.version(tmp_path / "other", "1.0.0", name=OTHER).promises_too_much())
    done = field.update(field.stick("half", days=1))
    assert fates(done) == {"paleness-1.0.0.tar": Fate.REFUSED, "redness-2.0.0.tar": Fate.INSTALLED}
    assert field.device.standing()["in use"] == "2.0.0"
    assert fates(field.update(first)) == {"redness-1.2.3.tar": Fate.INSTALLED}
    assert field.device.standing() == {"1.2.3": "good", "2.0.0": "accepted", "in use": "1.2.3"}


def test_once_a_newer_stick_was_taken_an_older_one_is_refused(field: Field, engine: Engine, newer: Engine) -> None:
    release(field.maker, engine)
    older = field.stick("older")
    release(field.maker, newer)
    field.update(field.stick("newer", days=1))
    before = contents(field.device.folder / "engines")
    with pytest.raises(ReleaseRefused) as caught:
        field.update(older)
    assert caught.value.kind is Refusal.ROLLED_BACK
    assert contents(field.device.folder / "engines") == before


def test_what_lacks_room_now_is_installed_by_the_same_stick_later(field: Field, engine: Engine) -> None:
    release(field.maker, engine)
    stick = field.stick("stick")
    field.device.runtime.fails = NotEnough("A build needs 2048 MiB of memory.", remedy="Close what else runs.")
    (outcome,) = field.update(stick)
    assert outcome.why == "A build needs 2048 MiB of memory."
    assert field.device.standing() == {"1.2.3": "staged", "in use": ""}
    field.device.runtime.fails = None
    assert fates(field.update(stick)) == {"redness-1.2.3.tar": Fate.INSTALLED}


def test_a_package_that_needs_a_newer_application_is_skipped_and_said_so(field: Field, engine: Engine) -> None:
    release(field.maker, engine, min_app="0.10.0")
    stick = field.stick("stick")
    (outcome,) = field.update(stick, app_version="0.9.0")
    assert (outcome.fate, outcome.error) == (Fate.TOO_NEW, None)
    assert outcome.why == "0.10.0 or later; this is 0.9.0"
    assert field.device.told[-1] == "redness-1.2.3.tar: needs a newer application, 0.10.0 or later; this is 0.9.0"
    assert field.device.store.names() == []
    assert fates(field.update(stick, app_version="0.10.0")) == {"redness-1.2.3.tar": Fate.INSTALLED}


@pytest.fixture
def ahead(field: Field, engine: Engine, newer: Engine, tmp_path: Path) -> Path:
    """A stick with 1.2.3 and 1.5.0, and 2.0.0 for a newer application than 0.9.0; the device has 1.2.3."""
    release(field.maker, engine)
    field.update(field.stick("first"))
    release(field.maker, engine.version(tmp_path / "between", "1.5.0"))
    release(field.maker, newer, min_app="0.10.0")
    return field.stick("ahead", days=1)


def test_where_the_newest_needs_a_newer_application_the_newest_that_runs_is_installed_and_said_so(
    field: Field, ahead: Path
) -> None:
    why = "redness-2.0.0.tar needs a newer application: 0.10.0 or later; this is 0.9.0"
    for dry_run, fate in ((True, Fate.WOULD_INSTALL), (False, Fate.INSTALLED), (False, Fate.IN_USE)):
        (outcome,) = field.update(ahead, dry_run=dry_run, app_version="0.9.0")
        assert (outcome.package, outcome.fate, outcome.why) == ("redness-1.5.0.tar", fate, why)
        assert field.device.told[-1] == f"redness-1.5.0.tar: {fate.value}, {why}"
    assert field.device.standing()["in use"] == "1.5.0"
    (outcome,) = field.update(ahead, app_version="0.10.0")  # the same stick, once the application was updated
    assert (outcome.package, outcome.fate, outcome.why) == ("redness-2.0.0.tar", Fate.INSTALLED, "")


def test_where_none_runs_the_newest_is_told(field: Field, ahead: Path) -> None:
    (outcome,) = field.update(ahead, app_version="0.0.9")
    assert (outcome.package, outcome.fate) == ("redness-2.0.0.tar", Fate.TOO_NEW)
    assert outcome.why == "0.10.0 or later; this is 0.0.9"
    assert field.device.standing() == {"1.2.3": "active", "in use": "1.2.3"}


@pytest.mark.parametrize("has", ["1.7.0", "1.5.0"])
def test_what_is_only_taken_as_the_newest_does_not_run_takes_no_device_back(
    field: Field, ahead: Path, engine: Engine, tmp_path: Path, has: str
) -> None:
    by_hand = engine.version(tmp_path / "by hand", has)
    store = field.device.store
    with store.updating():
        candidate = Candidate(by_hand.package, by_hand.golden, by_hand.load_golden, "by hand")
        field.device.installer(store).install(candidate, DECISION)
    before = contents(field.device.folder / "engines")
    (outcome,) = field.update(ahead, app_version="0.9.0")
    assert (outcome.package, outcome.fate, outcome.error) == ("redness-2.0.0.tar", Fate.TOO_NEW, None)
    assert outcome.why == (
        f"0.10.0 or later; this is 0.9.0; redness-1.5.0.tar is no newer than {has}, which this device has"
    )
    assert contents(field.device.folder / "engines") == before


def test_nor_back_behind_what_was_shipped(field: Field, engine: Engine, tmp_path: Path) -> None:
    shipped = load_package(shipped_as("afb-zn")).manifest
    release(field.maker, engine.version(tmp_path / "older", "0.0.1", name=shipped.name))
    release(field.maker, engine.version(tmp_path / "newer", "99.0.0", name=shipped.name), min_app="0.10.0")
    stick = field.stick("stick")
    (outcome,) = field.update(stick, app_version="0.9.0")
    assert (outcome.package, outcome.fate) == ("afb-zn-99.0.0.tar", Fate.TOO_NEW)
    assert outcome.why.endswith(f"afb-zn-0.0.1.tar is no newer than {shipped.version}, which this device has")
    assert field.device.store.names() == []


def test_a_camera_that_is_gone_refuses_the_packages_that_need_it_and_no_other(
    field: Field, engine: Engine, tmp_path: Path
) -> None:
    release(field.maker, engine.version(tmp_path / "other", "1.0.0", name=OTHER), golden=False)
    release(field.maker, engine)
    lost = CameraLost("The camera is gone.", remedy="Plug it in.")
    field.lost = lost
    other, installed = field.update(field.stick("stick"))
    assert (other.fate, other.why, other.error) == (Fate.REFUSED, "The camera is gone.", lost)
    assert installed.fate is Fate.INSTALLED
    (slot,) = field.device.store.slots(OTHER)
    assert slot.state is State.BUILT  # nothing is held against it
    assert field.trusted.floor() == BORN


def test_only_what_is_asked_for_is_installed(field: Field, engine: Engine, tmp_path: Path) -> None:
    release(field.maker, engine)
    release(field.maker, engine.version(tmp_path / "other", "1.0.0", name=OTHER))
    assert fates(field.update(field.stick("stick"), [NAME])) == {"redness-1.2.3.tar": Fate.INSTALLED}
    assert field.device.store.names() == [NAME]


def test_asked_for_what_is_not_there_it_says_what_is_and_installs_nothing(field: Field, engine: Engine) -> None:
    release(field.maker, engine)
    with pytest.raises(EngineError, match=r"Not on the stick: blueness\. Choose from: redness\."):
        field.update(field.stick("stick"), [NAME, "blueness"])
    assert field.device.store.names() == []


def test_a_dry_run_verifies_all_and_changes_no_byte_of_slots_and_trust(
    field: Field, engine: Engine, newer: Engine
) -> None:
    release(field.maker, engine)
    field.update(field.stick("first"))
    release(field.maker, newer)
    before = contents(field.device.folder)
    outcomes = field.update(field.stick("second", days=1), dry_run=True)
    field.trusted.sweep()
    assert fates(outcomes) == {"redness-2.0.0.tar": Fate.WOULD_INSTALL}
    assert contents(field.device.folder) == before
    assert field.device.runtime.builds == 1


def test_a_dry_run_finds_what_an_update_would_refuse(field: Field, engine: Engine) -> None:
    release(field.maker, engine)
    stick = field.stick("stick")
    archive = on_stick(stick, "targets/*")
    archive.write_bytes(archive.read_bytes()[:-1] + b"x")
    (outcome,) = field.update(stick, dry_run=True)
    assert isinstance(outcome.error, ReleaseRefused)
    assert outcome.error.kind is Refusal.TAMPERED


def test_an_altered_slot_is_no_engine_in_use_its_release_is_installed_again(field: Field, engine: Engine) -> None:
    release(field.maker, engine)
    stick = field.stick("stick")
    field.update(stick)
    slot = field.device.store.current(NAME)
    assert slot is not None
    (slot.package / "MODEL_CARD.md").write_text("better")
    assert fates(field.update(stick, dry_run=True)) == {"redness-1.2.3.tar": Fate.WOULD_INSTALL}
    assert fates(field.update(stick)) == {"redness-1.2.3.tar": Fate.INSTALLED}
    assert field.device.standing()["in use"] == "1.2.3"


def test_an_archive_whose_inside_is_not_what_its_listing_says_is_refused(
    field: Field, engine: Engine, newer: Engine, tmp_path: Path
) -> None:
    archive = tmp_path / "made.tar"
    pack(engine.package, engine.golden, archive, min_app="0.1.0")
    said = describe(load_package(newer.package), min_app="0.1.0", golden=True)
    add(field.maker.folder, archive, said, now=BORN)
    sign(field.maker.folder, field.maker.targets_key)
    (outcome,) = field.update(field.stick("stick"))
    assert isinstance(outcome.error, BadPackage)
    assert outcome.why == "redness-2.0.0.tar holds redness 1.2.3, and not what it is signed as."
    assert field.device.store.names() == []
    assert field.trusted.floor() == BORN


def test_a_package_without_golden_fields_is_tried_on_drawn_ones(field: Field, engine: Engine) -> None:
    release(field.maker, engine, golden=False)
    field.golden = engine
    assert fates(field.update(field.stick("stick"))) == {"redness-1.2.3.tar": Fate.INSTALLED}
    assert field.drawn == 1


@pytest.mark.parametrize("where", ["metadata/timestamp.json", "metadata/*.snapshot.json", "targets/*2.0.0.tar"])
def test_a_stick_that_is_refused_changes_no_byte_of_slots_and_trust(
    field: Field, engine: Engine, newer: Engine, where: str
) -> None:
    release(field.maker, engine)
    field.update(field.stick("first"))
    release(field.maker, newer)
    stick = field.stick("torn", days=1)
    torn = on_stick(stick, where)
    torn.write_bytes(torn.read_bytes()[:-20])
    before = contents(field.device.folder)
    with pytest.raises(ReleaseRefused):
        raise_first(field.update(stick))
    field.trusted.sweep()
    assert contents(field.device.folder) == before


def raise_first(outcomes: list[Outcome]) -> None:
    """As the command does."""
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
