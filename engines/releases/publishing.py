"""What devices see: snapshot and timestamp, signed where sticks are exported."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

from securesystemslib.signer import Signer
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from engines.releases.errors import ReleaseNotMade
from engines.releases.fields import SignedAt
from engines.releases.release_folder import ReleaseFolder, RoleT

STICK_LIFETIME = timedelta(days=400)


def publish(folder: Path, signers: Sequence[Signer], *, now: datetime, lifetime: timedelta = STICK_LIFETIME) -> None:
    """Make and sign snapshot and timestamp: devices take what is published, until now + lifetime.

    Raises ReleaseNotMade when root or list of packages are absent, run out before then or need to be signed anew, when
    a needed key is not among the signers, or when this machine's clock is behind the last time; NotWritten.
    """
    release = ReleaseFolder(folder)
    expires = (now + lifetime).astimezone(timezone.utc)
    root, targets = _lasting(release, Root, expires).signed, _lasting(release, Targets, expires)
    try:
        root.verify_delegate(Targets.type, targets.signed_bytes, targets.signatures)
    except UnsignedMetadataError as error:
        raise ReleaseNotMade(
            f"The list of packages in {folder} is not signed by the key that its root names now.",
            remedy="Renew the list and have it signed.",
        ) from error
    for_snapshot, for_timestamp = (_signer(root, role, signers) for role in (Snapshot.type, Timestamp.type))
    old_snapshot, old_timestamp = release.newest(Snapshot), release.newest(Timestamp)
    if old_timestamp and now < SignedAt.model_validate(old_timestamp.signed.unrecognized_fields).signed_at:
        raise ReleaseNotMade(
            f"{folder} was signed later than {now:%Y-%m-%d %H:%M}, which this machine's clock says.",
            remedy="Set the clock: a device holds the time of one release against all that come after it.",
        )

    snapshot = Metadata(
        Snapshot(
            version=old_snapshot.signed.version + 1 if old_snapshot else 1,
            expires=expires,
            meta={"targets.json": release.meta_file(targets)},
        )
    )
    snapshot.sign(for_snapshot)
    release.publish(snapshot)
    timestamp = Metadata(
        Timestamp(
            version=old_timestamp.signed.version + 1 if old_timestamp else 1,
            expires=expires,
            snapshot_meta=release.meta_file(snapshot),
            unrecognized_fields=SignedAt(signed_at=now).model_dump(mode="json"),
        )
    )
    timestamp.sign(for_timestamp)
    release.publish(timestamp)


def _lasting(release: ReleaseFolder, role: type[RoleT], until: datetime) -> Metadata[RoleT]:
    found = release.newest(role)
    if found is None:
        raise ReleaseNotMade(
            f"{release.path} has no signed {role.type} yet.", remedy="Have the drafts signed by enough of their keys."
        )
    if found.signed.expires < until:
        raise ReleaseNotMade(
            f"The {role.type} in {release.path} runs out on {found.signed.expires:%Y-%m-%d}, before {until:%Y-%m-%d}.",
            remedy="Renew it and have it signed, or export for a shorter time.",
        )
    return found


def _signer(root: Root, role: str, signers: Sequence[Signer]) -> Signer:
    for signer in signers:
        if signer.public_key.keyid in root.get_delegated_role(role).keyids:
            return signer
    raise ReleaseNotMade(f"None of the keys given may sign the {role}.", remedy=f"Give the {role} key of this release.")
