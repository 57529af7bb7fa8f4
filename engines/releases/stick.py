"""A release folder → a stick that a field engineer carries."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from securesystemslib.signer import Signer
from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from engines.durable import storing, sync, sync_tree
from engines.releases.layout import STICK_FOLDER
from engines.releases.publishing import STICK_LIFETIME, publish
from engines.releases.release_folder import ReleaseFolder


def export(
    folder: Path, stick: Path, signers: Sequence[Signer], *, now: datetime, lifetime: timedelta = STICK_LIFETIME
) -> Path:
    """Publish the release anew, good until now + lifetime, and put it on a mounted stick; gives the folder there.

    A stick takes no news on its way, so its life is long; revoke by rotating keys. What was on the stick is replaced at
    the end, by rename. Raises ReleaseNotMade as `publish` does, NotWritten when the stick refuses.
    """
    publish(folder, signers, now=now, lifetime=lifetime)
    final = stick / STICK_FOLDER
    draft, old = (stick / f".{STICK_FOLDER}.{state}" for state in ("part", "old"))
    with storing(stick):
        for leftover in (draft, old):
            if leftover.exists():
                shutil.rmtree(leftover)
        for source in _files(ReleaseFolder(folder)):
            copy = draft / source.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
        sync_tree(draft)
        if final.exists():
            final.rename(old)
        draft.rename(final)
        sync(stick)
        shutil.rmtree(old, ignore_errors=True)
    return final


def _files(release: ReleaseFolder) -> Iterator[Path]:
    """What a device may need: every root, so that one which has missed some can follow, and the newest of the rest."""
    yield from release.versions(Root)
    yield from (*release.versions(Targets)[-1:], *release.versions(Snapshot)[-1:], *release.versions(Timestamp))
    targets = release.newest(Targets)
    for target in targets.signed.targets.values() if targets else ():
        yield release.target_path(target)
