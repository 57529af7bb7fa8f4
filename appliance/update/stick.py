"""A stick → engines in use: verified, staged, built, accepted and activated, one package after the other.

Nothing that this device trusts changes before every package that was wanted has been accepted: after a bad stick, the
good older one still works.

Of several versions of a package, the newest that this application can run is taken. The newest on the stick is what its
maker wants, and is installed whatever the device has. An older one, taken as the newest needs a newer application, is
installed only if it is newer than what the device has: an update never goes back to an older version unasked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory

from appliance.errors import ApplianceError
from appliance.update.install import Candidate, Decision, Draw, Installer, origin
from appliance.update.versions import Choice, choose, shipped_version
from drivers.errors import DeviceError
from engines.errors import BadPackage, EngineError
from engines.package import load_package
from engines.releases.archive import GOLDEN, PACKAGE, unpack
from engines.releases.fields import describe
from engines.releases.verify import Offer, Offered
from engines.slots.errors import BadSlot
from engines.slots.record import State
from engines.slots.slot import Slot
from engines.slots.store import SlotStore

_IN_USE = {State.ACTIVE, State.GOOD}


class Fate(str, Enum):
    """What became of a package on the stick."""

    INSTALLED = "installed"
    IN_USE = "in use already"
    WOULD_INSTALL = "would be installed"
    TOO_NEW = "needs a newer application"
    REFUSED = "refused"


@dataclass(frozen=True)
class Outcome:
    """package: name of its file. why: empty where there is nothing to say. error: what refused it, if anything did."""

    package: str
    release: str
    fate: Fate
    why: str = ""
    error: EngineError | ApplianceError | DeviceError | None = None


@dataclass(frozen=True)
class Wish:
    """only: the packages to install, by name; empty: all. dry_run: verify everything, change nothing."""

    only: Sequence[str] = ()
    dry_run: bool = False


def update_from(
    offer: Offer,
    store: SlotStore,
    installer: Installer,
    decision: Decision,
    wish: Wish,
    *,
    app_version: str,
    golden_fields: Draw,
    scratch: Path,
    tell: Callable[[str], None],
) -> list[Outcome]:
    """What became of each package that is wanted. Call it inside `store.updating()`.

    scratch: an existing folder on the disk of the slots; what is unpacked there is removed again.
    Raises EngineError where a wanted package is not on the stick, or the stick itself is refused; what refuses one
    package stands in its outcome, and the others go on.
    """
    outcomes = []
    for choice in choose(offer.packages, wish.only, app_version):
        package = choice.package
        outcome = _due(choice, store)
        if outcome is None:
            why = _passed_over(choice)
            try:
                with _unpacked(offer, package, scratch, tell) as folder:
                    candidate = _candidate(package, folder, golden_fields, offer.key_ids)
                    if wish.dry_run:
                        installer.check(candidate)
                    else:
                        installer.install(candidate, decision)
                    fate = Fate.WOULD_INSTALL if wish.dry_run else Fate.INSTALLED
                    outcome = Outcome(package.name, release_of(package), fate, why)
            except (EngineError, ApplianceError, DeviceError) as error:  # also a camera that is asked for its size
                outcome = Outcome(package.name, release_of(package), Fate.REFUSED, error.what, error)
        tell(f"{outcome.package}: {outcome.fate.value}{f', {outcome.why}' if outcome.why else ''}")
        outcomes.append(outcome)
    if not wish.dry_run and all(outcome.error is None for outcome in outcomes):
        offer.commit()
    return outcomes


def release_of(package: Offered) -> str:
    """How a slot's record calls the release of a package."""
    return f"{package.name} sha256:{package.sha256}"


def _due(choice: Choice, store: SlotStore) -> Outcome | None:
    """The outcome of a package for which there is nothing to do."""
    package, newest = choice.package, choice.newest
    if not choice.runs:
        return Outcome(package.name, release_of(package), Fate.TOO_NEW, choice.needed)
    used = _in_use(store, package.listing.package)
    if used is not None and origin(used.record.release) == release_of(package):
        return Outcome(package.name, release_of(package), Fate.IN_USE, _passed_over(choice))
    has = shipped_version(package.listing.package) if used is None else used.record.version
    if has is not None and not choice.is_newest and not choice.newer_than(has):
        why = f"{choice.needed}; {package.name} is no newer than {has}, which this device has"
        return Outcome(newest.name, release_of(newest), Fate.TOO_NEW, why)
    return None


def _passed_over(choice: Choice) -> str:
    """Why it is not the newest on the stick; empty where it is."""
    return "" if choice.is_newest else f"{choice.newest.name} {Fate.TOO_NEW.value}: {choice.needed}"


def _in_use(store: SlotStore, name: str) -> Slot | None:
    """The slot in use; None also where it is damaged, as it is then to be installed again."""
    with suppress(BadSlot):
        slot = store.current(name)
        return slot if slot is not None and slot.state in _IN_USE else None
    return None


@contextmanager
def _unpacked(offer: Offer, package: Offered, scratch: Path, tell: Callable[[str], None]) -> Iterator[Path]:
    tell(f"Copying and verifying {package.name} ({package.length_bytes / 1e6:.1f} MB).")
    with TemporaryDirectory(dir=scratch, prefix="unpacked-") as name:
        archive, folder = offer.download(package), Path(name) / "release"
        try:
            unpack(archive, folder)
        finally:
            archive.unlink(missing_ok=True)
        _as_listed(package, folder / PACKAGE)
        yield folder


def _as_listed(package: Offered, folder: Path) -> None:
    """What is inside has to be what was announced. Raises BadPackage."""
    listing = package.listing
    inside = describe(load_package(folder), min_app=listing.min_app, golden=listing.golden)
    if inside != listing:
        raise BadPackage(
            f"{package.name} holds {inside.package} {inside.version}, and not what it is signed as.",
            remedy="Have the package made and signed again.",
        )


def _candidate(package: Offered, folder: Path, golden_fields: Draw, key_ids: Sequence[str]) -> Candidate:
    golden = folder / GOLDEN if package.listing.golden else None
    return Candidate(folder / PACKAGE, golden, golden_fields, release_of(package), tuple(key_ids))
