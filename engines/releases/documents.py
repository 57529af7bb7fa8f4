"""TUF's four documents as its client keeps them in a folder, once verified."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tuf.api.metadata import Metadata, Root, Signed, Snapshot, Targets, Timestamp


@dataclass(frozen=True)
class Documents:
    """Root, timestamp, snapshot and targets. key_ids: the keys of the root that signed the targets."""

    root: Root
    timestamp: Timestamp
    snapshot: Snapshot
    targets: Targets
    key_ids: tuple[str, ...]

    @property
    def all(self) -> tuple[Signed, ...]:
        """The four, in the order in which they vouch for each other."""
        return self.root, self.timestamp, self.snapshot, self.targets


def read_root(folder: Path) -> Root:
    """The newest root in a folder. Raises OSError when it is absent, RepositoryError when it is damaged."""
    return Metadata[Root].from_bytes((folder / "root.json").read_bytes()).signed


def read_documents(folder: Path) -> Documents:
    """The documents in a folder. Raises OSError when one is absent, RepositoryError when one is damaged."""
    root = read_root(folder)
    targets = Metadata[Targets].from_bytes((folder / "targets.json").read_bytes())
    signers = root.get_verification_result(Targets.type, targets.signed_bytes, targets.signatures).signed
    return Documents(
        root=root,
        timestamp=Metadata[Timestamp].from_bytes((folder / "timestamp.json").read_bytes()).signed,
        snapshot=Metadata[Snapshot].from_bytes((folder / "snapshot.json").read_bytes()).signed,
        targets=targets.signed,
        key_ids=tuple(sorted(signers)),
    )
