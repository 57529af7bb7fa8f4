"""A stick → engines in use: verified, staged, built, accepted and activated, one package after the other.

Nothing that this device trusts changes before every package that was wanted has been accepted: after a bad stick, the
good older one still works.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory

from appliance.update.install import Candidate, Decision, Installer, origin
from engines.acceptance.golden import Golden, load_golden
from engines.errors import BadPackage, EngineError
from engines.package import EnginePackage, load_package
from engines.releases.archive import GOLDEN, PACKAGE, unpack
from engines.releases.fields import describe
from engines.releases.verify import Offer, Offered
from engines.slots.errors import BadSlot
from engines.slots.record import State
from engines.slots.store import SlotStore

GoldenFields = Callable[[EnginePackage], Golden]
"""Gives golden fields of a package that brings none."""
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
    error: EngineError | None = None


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
    golden_fields: GoldenFields,
    scratch: Path,
    tell: Callable[[str], None],
) -> list[Outcome]:
    """What became of each package that is wanted. Call it inside `store.updating()`.

    scratch: an existing folder on the disk of the slots; what is unpacked there is removed again.
    Raises EngineError where a wanted package is not on the stick, or the stick itself is refused; what refuses one
    package stands in its outcome, and the others go on.
    """
    outcomes = []
    for package in _wanted(offer, wish.only):
        outcome = _due(package, store, app_version)
        if outcome is None:
            try:
                with _unpacked(offer, package, scratch, tell) as folder:
                    outcome = Outcome(package.name, release_of(package), Fate.WOULD_INSTALL)
                    if not wish.dry_run:
                        installer.install(_candidate(package, folder, golden_fields, offer.key_ids), decision)
                        outcome = Outcome(package.name, release_of(package), Fate.INSTALLED)
            except EngineError as error:
                outcome = Outcome(package.name, release_of(package), Fate.REFUSED, error.what, error)
        tell(f"{outcome.package}: {outcome.fate.value}{f', {outcome.why}' if outcome.why else ''}")
        outcomes.append(outcome)
    if not wish.dry_run and all(outcome.error is None for outcome in outcomes):
        offer.commit()
    return outcomes


def release_of(package: Offered) -> str:
    """How a slot's record calls the release of a package."""
    return f"{package.name} sha256:{package.sha256}"


def _wanted(offer: Offer, only: Sequence[str]) -> list[Offered]:
    names = {package.listing.package for package in offer.packages}
    if absent := sorted(set(only) - names):
        raise EngineError(
            f"Not on the stick: {', '.join(absent)}.", remedy=f"Choose from: {', '.join(sorted(names)) or 'nothing'}."
        )
    newest: dict[str, Offered] = {}
    for package in offer.packages:
        name = package.listing.package
        if (not only or name in only) and (name not in newest or _version(package) > _version(newest[name])):
            newest[name] = package
    return [newest[name] for name in sorted(newest)]


def _due(package: Offered, store: SlotStore, app_version: str) -> Outcome | None:
    """The outcome of a package for which there is nothing to do."""
    release = release_of(package)
    needed = package.listing.min_app
    if _parts(needed) > _parts(app_version):
        return Outcome(package.name, release, Fate.TOO_NEW, f"{needed} or later; this is {app_version}")
    with suppress(BadSlot):  # then it is to be installed again
        current = store.current(package.listing.package)
        if current is not None and origin(current.record.release) == release and current.state in _IN_USE:
            return Outcome(package.name, release, Fate.IN_USE)
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


def _candidate(package: Offered, folder: Path, golden_fields: GoldenFields, key_ids: Sequence[str]) -> Candidate:
    def signed(_: EnginePackage) -> Golden:
        return load_golden(folder / GOLDEN)

    golden = signed if package.listing.golden else golden_fields
    return Candidate(folder / PACKAGE, golden, release_of(package), tuple(key_ids))


def _version(package: Offered) -> tuple[int, ...]:
    return _parts(package.listing.version)


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3])
