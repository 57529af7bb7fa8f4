"""Which version of a package is for this application: of those on a stick, and the one that is shipped."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from engines.errors import BadPackage, EngineError
from engines.package import load_package, shipped_as
from engines.releases.verify import Offered


@dataclass(frozen=True)
class Choice:
    """package: the newest version that this application can run, or else just the newest. newest: on the stick."""

    package: Offered
    newest: Offered
    app_version: str

    @property
    def runs(self) -> bool:
        """Whether this application can run it."""
        return _runs(self.package, self.app_version)

    @property
    def is_newest(self) -> bool:
        """False: the newest needs a newer application."""
        return self.package is self.newest

    @property
    def needed(self) -> str:
        """The application that the newest needs, and what there is."""
        return f"{self.newest.listing.min_app} or later; this is {self.app_version}"

    def newer_than(self, version: str) -> bool:
        """Whether the package is newer than that version of it."""
        return version_order(self.package.listing.version) > version_order(version)


def choose(packages: Sequence[Offered], only: Sequence[str], app_version: str) -> list[Choice]:
    """One choice for each package by name, or only for those named. Raises EngineError where one is not there."""
    versions: dict[str, list[Offered]] = {}
    for package in packages:
        versions.setdefault(package.listing.package, []).append(package)
    if absent := sorted(set(only) - versions.keys()):
        raise EngineError(
            f"Not on the stick: {', '.join(absent)}.",
            remedy=f"Choose from: {', '.join(sorted(versions)) or 'nothing'}.",
        )
    choices = []
    for name in sorted(set(only) or versions):
        newest = max(versions[name], key=_version)
        runnable = (package for package in versions[name] if _runs(package, app_version))
        choices.append(Choice(max(runnable, key=_version, default=newest), newest, app_version))
    return choices


def shipped_version(name: str) -> str | None:
    """Of the package of that name that is shipped with this application; None where none is."""
    with suppress(BadPackage):
        return load_package(shipped_as(name)).manifest.version
    return None


def _runs(package: Offered, app_version: str) -> bool:
    return version_order(package.listing.min_app) <= version_order(app_version)


def _version(package: Offered) -> tuple[int, ...]:
    return version_order(package.listing.version)


def version_order(version: str) -> tuple[int, ...]:
    """What versions are compared by."""
    return tuple(int(part) for part in version.split(".")[:3])
