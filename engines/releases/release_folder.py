"""The maker's release folder on disk.

metadata/    N.root.json of every version, N.targets.json, N.snapshot.json, timestamp.json
targets/     SHA256.NAME of every package
preparing/   root.json, targets.json: the next versions, until enough keys have signed them
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TypeVar

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from engines.durable import draft_of, storing, sync, write_file
from engines.releases.errors import ReleaseNotMade
from engines.releases.layout import METADATA, TARGETS

RoleT = TypeVar("RoleT", Root, Timestamp, Snapshot, Targets)
_PREPARING = "preparing"
_RESTORE = "Restore the release folder from a backup."


class ReleaseFolder:
    """Reads and writes a release folder; what is written is there whole or not at all.

    Its methods raise NotWritten when the disk refuses, and ReleaseNotMade when a document cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def versions(self, role: type[RoleT]) -> list[Path]:
        """The files of a role's published versions, oldest first."""
        found = (self.path / METADATA).glob("timestamp.json" if role is Timestamp else f"*.{role.type}.json")
        return sorted(found, key=lambda path: (len(path.name), path.name))

    def newest(self, role: type[RoleT]) -> Metadata[RoleT] | None:
        """A role's newest published version, or None."""
        versions = self.versions(role)
        return _read(versions[-1], role) if versions else None

    def draft(self, role: type[RoleT]) -> Metadata[RoleT] | None:
        """A role's version that waits for signatures, or None."""
        path = self._draft_path(role.type)
        return _read(path, role) if path.exists() else None

    def publish(self, document: Metadata[RoleT]) -> None:
        """Write a signed document under the name by which a device looks for it."""
        write_file(self._published_path(document), document.to_bytes())

    def meta_file(self, document: Metadata[RoleT]) -> MetaFile:
        """Version, length and hash of a published document, for the one that vouches for it."""
        path = self._published_path(document)
        with storing(path):
            return MetaFile.from_data(document.signed.version, path.read_bytes(), ["sha256"])

    def save_draft(self, document: Metadata[RoleT]) -> None:
        """Write a version that waits for signatures."""
        write_file(self._draft_path(document.signed.type), document.to_bytes())

    def publish_draft(self, document: Metadata[RoleT]) -> None:
        """Publish the draft that was saved as `document`."""
        draft, path = self._draft_path(document.signed.type), self._published_path(document)
        with storing(path):
            path.parent.mkdir(exist_ok=True)
            draft.replace(path)
            sync(path.parent)
            sync(draft.parent)

    def put_target(self, source: Path, target: TargetFile) -> None:
        """Copy a package's archive to its place."""
        path = self.target_path(target)
        draft = draft_of(path)
        with storing(path):
            path.parent.mkdir(exist_ok=True)
            shutil.copyfile(source, draft)
            sync(draft)
            draft.replace(path)
            sync(path.parent)

    def target_path(self, target: TargetFile) -> Path:
        """Where a target's file lies: its name begins with its hash."""
        (relative,) = target.get_prefixed_paths()
        return self.path / TARGETS / relative

    def _draft_path(self, role: str) -> Path:
        return self.path / _PREPARING / f"{role}.json"

    def _published_path(self, document: Metadata[RoleT]) -> Path:
        role, version = document.signed.type, document.signed.version
        return self.path / METADATA / (f"{role}.json" if role == Timestamp.type else f"{version}.{role}.json")


def _read(path: Path, role: type[RoleT]) -> Metadata[RoleT]:
    try:
        document = Metadata[RoleT].from_bytes(path.read_bytes())
    except (OSError, RepositoryError) as error:
        raise ReleaseNotMade(f"{path} cannot be read: {error}.", remedy=_RESTORE) from error
    if document.signed.type != role.type:
        raise ReleaseNotMade(f"{path} is not a {role.type}.", remedy=_RESTORE)
    return document
