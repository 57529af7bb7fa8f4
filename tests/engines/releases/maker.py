"""A maker with all its keys, who packs, signs and exports releases into folders of a test.

Dates lie far ahead, so that TUF's client, which asks the machine's own clock, never decides before we do.
"""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata

from engines.releases.fields import Listing
from engines.releases.layout import STICK_FOLDER
from engines.releases.repository import Keyring, add, create, rotate_root
from engines.releases.signing import sign
from engines.releases.stick import export

BORN = datetime(2100, 1, 1, tzinfo=timezone.utc)
DAY = timedelta(days=1)


def new_keys(count: int) -> list[CryptoSigner]:
    return [CryptoSigner.generate_ed25519() for _ in range(count)]


def listing(version: str) -> Listing:
    digest = hashlib.sha256(version.encode()).hexdigest()
    return Listing(package="afb-zn", version=version, assay="afb", onnx_sha256=digest, min_app="0.1.0", golden=True)


class Maker:
    """Two of three root keys sign a root."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder / "release"
        self.root_keys = new_keys(3)
        self.targets_key, self.snapshot_key, self.timestamp_key = new_keys(3)
        create(self.folder, self.keyring(), now=BORN)
        self.sign(self.root_keys[:2])

    def keyring(self) -> Keyring:
        return Keyring(
            root=tuple(key.public_key for key in self.root_keys),
            threshold=2,
            targets=self.targets_key.public_key,
            snapshot=self.snapshot_key.public_key,
            timestamp=self.timestamp_key.public_key,
        )

    @property
    def root(self) -> bytes:
        """The first root, as an application carries it."""
        return (self.folder / "metadata" / "1.root.json").read_bytes()

    def sign(self, keys: list[CryptoSigner]) -> None:
        for key in keys:
            sign(self.folder, key)

    def release(self, version: str, content: bytes = b"") -> None:
        """Add a package of this version; its archive is `content`, or something made up."""
        tar = self.folder.parent / "made.tar"
        tar.write_bytes(content or f"package {version} ".encode() * 1000)
        add(self.folder, tar, listing(version), now=BORN)
        sign(self.folder, self.targets_key)

    def rotate(
        self,
        *,
        root: list[CryptoSigner] | None = None,
        targets: CryptoSigner | None = None,
        online: CryptoSigner | None = None,
        now: datetime = BORN,
    ) -> None:
        """Draft the next root with other keys, for old and new root keys to sign."""
        self.root_keys = root or self.root_keys
        self.targets_key = targets or self.targets_key
        self.snapshot_key = online or self.snapshot_key
        self.timestamp_key = online or self.timestamp_key
        rotate_root(self.folder, self.keyring(), now=now)

    def copy(self, folder: Path) -> Maker:
        """All that this maker has, in the hands of somebody who goes on from here alone."""
        twin = copy.copy(self)
        twin.folder = shutil.copytree(self.folder, folder / "release")
        return twin

    def export(self, stick: Path, *, now: datetime = BORN, days: int = 400) -> Path:
        stick.mkdir(exist_ok=True)
        export(self.folder, stick, [self.snapshot_key, self.timestamp_key], now=now, lifetime=days * DAY)
        return stick

    def vouch(self, stick: Path) -> None:
        """Sign whatever list of packages lies on a stick as the exporting machine would, asking no root."""
        targets, snapshot, timestamp = (on_stick(stick, f"metadata/*{role}.json") for role in _CHAIN)
        forge(snapshot, self.snapshot_key, meta={"targets.json": _described(targets)})
        forge(timestamp, self.timestamp_key, meta={"snapshot.json": _described(snapshot)})


_CHAIN = ("targets", "snapshot", "timestamp")


def _described(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    version = json.loads(data)["signed"]["version"]
    return {"version": version, "length": len(data), "hashes": {"sha256": hashlib.sha256(data).hexdigest()}}


def on_stick(stick: Path, pattern: str) -> Path:
    """The one file of a stick's release that matches."""
    (found,) = (stick / STICK_FOLDER).glob(pattern)
    return found


def forge(path: Path, *keys: CryptoSigner, **changes: object) -> None:
    """Change fields of a signed document, and sign it with these keys only; without keys the old signatures stay."""
    content = json.loads(path.read_bytes())
    content["signed"].update(changes)
    document: Metadata[Any] = Metadata.from_dict(content)
    if keys:
        document.signatures.clear()
    for key in keys:
        document.sign(key, append=True)
    path.write_bytes(document.to_bytes())
