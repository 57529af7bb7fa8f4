"""A stick → an offer of verified packages; nothing that the device trusts changes until the offer is committed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Targets, Timestamp
from tuf.ngclient import Updater

from engines.durable import storing
from engines.releases.clock import Clock
from engines.releases.diagnosis import TUF_ERRORS, explain, explain_target
from engines.releases.documents import Documents, read_documents, read_root
from engines.releases.errors import BadKey, Refusal, ReleaseRefused
from engines.releases.fetcher import BASE_URL, LIMITS, StickFetcher
from engines.releases.fields import Listing, SignedAt
from engines.releases.layout import METADATA, TARGETS
from engines.releases.trusted import Trusted


@dataclass(frozen=True)
class Offered:
    """One package on a stick: name of its file, what it is, length in bytes and SHA-256 in hexadecimal, all signed."""

    name: str
    listing: Listing
    length_bytes: int
    sha256: str


class Offer:
    """The packages of a list that is genuine, current and whole; made by `open_stick`.

    packages: in order of their names. version: of the timestamp; each export has a higher one. signed_at, expires: of
    the timestamp, UTC. key_ids: the keys that signed the list of packages.
    """

    def __init__(
        self,
        documents: Documents,
        updater: Updater,
        fetcher: StickFetcher,
        *,
        accept: Callable[[datetime], None],
        scratch: Path,
        max_package_bytes: int,
    ) -> None:
        self.packages = tuple(_offered(documents.targets, fetcher.stick))
        self.version = documents.timestamp.version
        self.signed_at = _signed_at(documents.timestamp, fetcher.stick)
        self.expires = documents.timestamp.expires
        self.key_ids = documents.key_ids
        self._targets = documents.targets.targets
        self._updater = updater
        self._fetcher = fetcher
        self._accept = accept
        self._scratch = scratch
        self._max_package_bytes = max_package_bytes

    def download(self, package: Offered) -> Path:
        """Copy a package's archive into the scratch folder; gives its path once the copy is the file that was signed.

        TUF's client first copies it into the system's folder for temporary files, which needs room for it as well.
        Raises ReleaseRefused (missing, torn, altered, too large, a link), NotWritten when the disk refuses.
        """
        if package.length_bytes > self._max_package_bytes:
            said = f"{package.name} on {self._fetcher.stick} has {package.length_bytes} bytes"
            raise ReleaseRefused(f"{said}; at most {self._max_package_bytes} are taken.", kind=Refusal.TOO_LARGE)
        path = self._scratch / package.name
        try:
            with storing(path):
                self._updater.download_target(self._targets[package.name], filepath=str(path))
        except TUF_ERRORS as error:
            raise explain_target(error, self._fetcher, package.length_bytes) from error
        return path

    def commit(self) -> None:
        """Trust this release from now on: older ones are refused. Call it once a package of it has been accepted.

        Raises NotWritten when the disk refuses, or another stick was opened since; what was trusted before still is.
        """
        self._accept(self.signed_at)


def open_stick(
    stick: Path, trusted: Trusted, root: bytes, *, now: datetime, scratch: Path, max_package_bytes: int = 2 << 30
) -> Offer:
    """Verify what is on a mounted stick.

    root: root.json as it came with this application, where trust begins; never one from a stick.
    now: what the system's clock says, UTC. scratch: an existing folder for downloads.
    Raises ReleaseRefused, whose kind is the cause; TrustDamaged when the device's own metadata cannot be read; BadKey
    when `root` is not a valid root; NotWritten when the device's disk refuses.

    TUF's client holds expiry against the system's clock and can be given no other time (python-tuf 7). The
    reference here is the later of clock and floor, never earlier than the clock: what the client refuses as expired
    would be refused in any case, and what it lets pass is held against the reference again before it is offered.
    """
    clock = Clock(now=now, floor=trusted.floor())
    fetcher = StickFetcher(stick)
    staged = trusted.stage()
    metadata = staged / METADATA
    with storing(metadata):
        updater = _updater(metadata, fetcher, root)
        try:
            updater.refresh()
        except TUF_ERRORS as error:
            raise explain(error, fetcher, read_root(metadata), clock) from error
        documents = read_documents(metadata)
    for signed in documents.all:
        if signed.is_expired(clock.reference):
            raise clock.expired(f"The {signed.type} on {stick}", signed.expires)
    return Offer(
        documents,
        updater,
        fetcher,
        accept=lambda signed_at: trusted.accept(staged, clock.raised(signed_at)),
        scratch=scratch,
        max_package_bytes=max_package_bytes,
    )


def _updater(metadata: Path, fetcher: StickFetcher, root: bytes) -> Updater:
    try:
        return Updater(
            str(metadata),
            f"{BASE_URL}{METADATA}/",
            target_base_url=f"{BASE_URL}{TARGETS}/",
            fetcher=fetcher,
            config=LIMITS,
            bootstrap=root,
        )
    except RepositoryError as error:
        raise BadKey(
            f"The root of trust of this application is not valid: {error}.", remedy="Install the application again."
        ) from error


def _offered(targets: Targets, stick: Path) -> Iterator[Offered]:
    for name, target in sorted(targets.targets.items()):
        try:
            listing = Listing.model_validate(target.custom)
            sha256 = target.hashes["sha256"]
        except (ValidationError, KeyError) as error:
            raise _not_understood(name, stick) from error
        if name != listing.target_name:
            raise _not_understood(name, stick)
        yield Offered(name=name, listing=listing, length_bytes=target.length, sha256=sha256)


def _signed_at(timestamp: Timestamp, stick: Path) -> datetime:
    try:
        return SignedAt.model_validate(timestamp.unrecognized_fields).signed_at
    except ValidationError as error:
        raise _not_understood("timestamp.json", stick) from error


def _not_understood(name: str, stick: Path) -> ReleaseRefused:
    said = f"{name} on {stick} is genuine, but described in a way that this application does not know."
    return ReleaseRefused(said, kind=Refusal.NOT_UNDERSTOOD)
