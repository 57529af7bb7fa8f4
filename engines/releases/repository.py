"""The maker's drafts: whose keys count, and which packages are released.

Root and targets are signed offline, so each new version of them is a draft first. The release folder travels with it
from one keyholder to the next, and it is published once enough keys have signed it (`signing.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from securesystemslib.signer import Key
from tuf.api.metadata import Metadata, Root, Snapshot, TargetFile, Targets, Timestamp

from engines.releases.errors import ReleaseNotMade
from engines.releases.fields import Listing
from engines.releases.release_folder import ReleaseFolder

ROOT_LIFETIME = timedelta(days=3653)
TARGETS_LIFETIME = timedelta(days=1827)


@dataclass(frozen=True)
class Keyring:
    """The public keys of each role. threshold: how many of the root keys must sign a root."""

    root: tuple[Key, ...]
    threshold: int
    targets: Key
    snapshot: Key
    timestamp: Key


def create(folder: Path, keyring: Keyring, *, now: datetime, lifetime: timedelta = ROOT_LIFETIME) -> None:
    """Begin a release folder: draft its first root, for the root keys to sign.

    Raises ReleaseNotMade when there is one already, or the threshold cannot be met; NotWritten.
    """
    release = ReleaseFolder(folder)
    if release.newest(Root):
        raise ReleaseNotMade(f"{folder} is a release folder already.", remedy="To change its keys, rotate its root.")
    _draft_root(release, keyring, version=1, expires=now + lifetime)


def rotate_root(folder: Path, keyring: Keyring, *, now: datetime, lifetime: timedelta = ROOT_LIFETIME) -> None:
    """Draft the next root, with other keys or a longer life; enough of the old and of the new root keys must sign it.

    A new targets key must then sign the list of packages anew (`renew`). Raises ReleaseNotMade, NotWritten.
    """
    release = ReleaseFolder(folder)
    root = release.newest(Root)
    if root is None:
        raise ReleaseNotMade(f"{folder} has no signed root yet.", remedy="Sign the first root before the next is made.")
    _draft_root(release, keyring, version=root.signed.version + 1, expires=now + lifetime)


def add(folder: Path, tar: Path, listing: Listing, *, now: datetime, lifetime: timedelta = TARGETS_LIFETIME) -> None:
    """Copy a packed package into the release folder, and draft the next list of packages with it.

    Adding the same file once more changes nothing. Raises ReleaseNotMade when there is no such file, or
    another one with its name and version; NotWritten when a disk refuses.
    """
    release = ReleaseFolder(folder)
    targets = _next_targets(release, expires=now + lifetime)
    if not tar.is_file():
        raise ReleaseNotMade(f"There is no archive at {tar}.", remedy="Correct the path.")
    target = TargetFile.from_file(listing.target_name, str(tar), ["sha256"])
    target.unrecognized_fields["custom"] = listing.model_dump()
    known = targets.targets.get(target.path)
    if known is None:
        targets.targets[target.path] = target
        release.put_target(tar, target)
        release.save_draft(Metadata(targets))
    elif known != target:
        raise ReleaseNotMade(f"{folder} has another {target.path} already.", remedy="Raise the package's version.")


def renew(folder: Path, *, now: datetime, lifetime: timedelta = TARGETS_LIFETIME) -> None:
    """Draft the same list of packages, for a longer life or another key. Raises ReleaseNotMade, NotWritten."""
    release = ReleaseFolder(folder)
    release.save_draft(Metadata(_next_targets(release, expires=now + lifetime)))


def _draft_root(release: ReleaseFolder, keyring: Keyring, *, version: int, expires: datetime) -> None:
    if not 1 <= keyring.threshold <= len({key.keyid for key in keyring.root}):
        raise ReleaseNotMade(
            f"{keyring.threshold} of {len(keyring.root)} root keys cannot sign.",
            remedy="Name at least as many different root keys as must sign.",
        )
    if release.draft(Root):
        raise ReleaseNotMade(
            f"A root waits for signatures in {release.path} already.",
            remedy="Have it signed, or delete preparing/root.json to drop it.",
        )
    root = Root(version=version, expires=expires.astimezone(timezone.utc), consistent_snapshot=True)
    for key in keyring.root:
        root.add_key(key, Root.type)
    root.roles[Root.type].threshold = keyring.threshold
    root.add_key(keyring.targets, Targets.type)
    root.add_key(keyring.snapshot, Snapshot.type)
    root.add_key(keyring.timestamp, Timestamp.type)
    release.save_draft(Metadata(root))


def _next_targets(release: ReleaseFolder, *, expires: datetime) -> Targets:
    """The draft as it stands, or the next version after the published list; unsigned, as it is about to change."""
    newest, draft = release.newest(Targets), release.draft(Targets)
    targets = draft.signed if draft else newest.signed if newest else Targets()
    targets.version = newest.signed.version + 1 if newest else 1
    targets.expires = expires.astimezone(timezone.utc)
    return targets
