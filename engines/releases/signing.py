"""The maker's offline signatures: one keyholder after the other signs the drafts in the release folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from securesystemslib.signer import Signer
from tuf.api.metadata import Metadata, Root, RootVerificationResult, Targets, VerificationResult

from engines.releases.errors import ReleaseNotMade
from engines.releases.release_folder import ReleaseFolder

_Signatures = VerificationResult | RootVerificationResult


@dataclass(frozen=True)
class Waiting:
    """A draft that waits for signatures: its role and version, and the ids of keys that have and have not signed it."""

    role: str
    version: int
    signed: tuple[str, ...]
    unsigned: tuple[str, ...]


def waiting(folder: Path) -> tuple[Waiting, ...]:
    """The drafts that may be signed now; a list of packages may once there is a root that says by whom.

    Raises ReleaseNotMade when a draft is damaged or stale, NotWritten.
    """
    return tuple(
        Waiting(draft.signed.type, draft.signed.version, tuple(found.signed), tuple(found.unsigned))
        for draft, found in _drafts(ReleaseFolder(folder))
    )


def sign(folder: Path, signer: Signer) -> tuple[Waiting, ...]:
    """Add a key's signature to each draft that it may sign, and publish those that then have enough.

    Returns the drafts that still wait. Raises ReleaseNotMade when none waits for this key, else as `waiting`.
    """
    release = ReleaseFolder(folder)
    key_id = signer.public_key.keyid
    drafts = [draft for draft, found in _drafts(release) if key_id in found.signed | found.unsigned]
    if not drafts:
        raise ReleaseNotMade(
            f"Nothing in {folder} waits for the key {key_id[:8]}….",
            remedy="Use a key of the role that waits; a list of packages waits until the first root is signed.",
        )
    for draft in drafts:
        draft.sign(signer, append=True)
        release.save_draft(draft)
        if _signatures(release, draft):
            release.publish_draft(draft)
    return waiting(folder)


def _drafts(release: ReleaseFolder) -> Iterator[tuple[Metadata[Any], _Signatures]]:
    """Each draft that may be signed now, with who has signed it."""
    drafts: list[Metadata[Any] | None] = [release.draft(Root), release.draft(Targets)]
    for draft in drafts:
        found = _signatures(release, draft) if draft else None
        if draft and found is not None:
            yield draft, found


def _signatures(release: ReleaseFolder, draft: Metadata[Any]) -> _Signatures | None:
    """Who has signed a draft, or None while no root says who may. A new root needs the last one's keys and its own."""
    signed, root = draft.signed, release.newest(Root)
    before = root if isinstance(signed, Root) else release.newest(Targets)
    if signed.version != (before.signed.version + 1 if before else 1):
        raise ReleaseNotMade(
            f"Another {signed.type} was published in {release.path} since the one that waits was drafted.",
            remedy=f"Delete preparing/{signed.type}.json there and draft it again.",
        )
    payload, signatures = draft.signed_bytes, draft.signatures
    if isinstance(signed, Root):
        return signed.get_root_verification_result(root.signed if root else None, payload, signatures)
    return root.signed.get_verification_result(Targets.type, payload, signatures) if root else None
