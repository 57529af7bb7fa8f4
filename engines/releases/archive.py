"""An engine package and its acceptance set as one tar file: the same bytes each time, and nothing but plain files."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engines.durable import draft_of, storing, sync, sync_tree
from engines.package import load_package
from engines.releases.errors import BadArchive
from engines.releases.fields import Listing, describe

PACKAGE = "package"
GOLDEN = "golden"
_ASK = "Have the package made and signed again; never edit an archive by hand."


@dataclass(frozen=True)
class Limits:
    """What an archive may hold at most: files, and bytes of all files together."""

    files: int = 2000
    size_bytes: int = 1 << 30


def pack(package_folder: Path, golden_folder: Path | None, out: Path, *, min_app: str) -> Listing:
    """Write an engine package under `package/`, and its acceptance set under `golden/`, as tar file `out`.

    The same files give the same bytes: names in order, no times, no owners. min_app: see `Listing`.
    Raises BadPackage when the package is not whole, BadArchive when a folder holds something that is not a plain file
    or no file at all, NotWritten when the disk refuses.
    """
    package = load_package(package_folder)
    files = _plain_files(package_folder, PACKAGE) | (
        {} if golden_folder is None else _plain_files(golden_folder, GOLDEN)
    )
    draft = draft_of(out)
    with storing(out):
        try:
            with tarfile.open(draft, "w", format=tarfile.PAX_FORMAT) as archive:
                for name, path in sorted(files.items()):
                    info = tarfile.TarInfo(name)
                    info.size = path.stat().st_size
                    with path.open("rb") as stream:
                        archive.addfile(info, stream)
            sync(draft)
            draft.replace(out)
            sync(out.parent)
        finally:
            draft.unlink(missing_ok=True)
    return describe(package, min_app=min_app, golden=golden_folder is not None)


def unpack(tar: Path, into: Path, limits: Limits | None = None) -> None:
    """Unpack an archive that `pack` wrote into folder `into`, which must not exist; its files are then on the disk.

    Raises BadArchive when it is damaged, holds anything but plain files with plain names, a name twice, or more than
    the limits; NotWritten when the disk refuses. Nothing is then left behind.
    """
    draft = draft_of(into)
    try:
        with storing(into):
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            with tarfile.open(tar, "r:") as archive:
                for member in _checked(archive, limits or Limits()):
                    _write(archive, member, draft / member.name)
            sync_tree(draft)
            draft.rename(into)
            sync(into.parent)
    except (tarfile.TarError, ValueError) as error:
        raise BadArchive(f"{tar} is damaged: {error}.", remedy=_ASK) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _plain_files(folder: Path, prefix: str) -> dict[str, Path]:
    """The files in a folder by the names they get in the archive."""
    files = {}
    for path in folder.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise BadArchive(f"{path} is not a plain file.", remedy="Put the file itself in its place.")
        if path.is_file():
            files[f"{prefix}/{path.relative_to(folder).as_posix()}"] = path
    if not files:
        raise BadArchive(f"There are no files in {folder}.", remedy="Correct the path.")
    return files


def _checked(archive: tarfile.TarFile, limits: Limits) -> Iterator[tarfile.TarInfo]:
    """The members, each one checked against the rules and all before it."""
    names: set[str] = set()
    folders: set[str] = set()
    size_bytes = 0
    for member in archive:
        parts = member.name.split("/")
        above = {"/".join(parts[:end]) for end in range(1, len(parts))}
        size_bytes += member.size
        if member.type not in {tarfile.REGTYPE, tarfile.AREGTYPE} or member.issparse():
            raise _refused(archive, member, "is not a plain file")
        if not set(parts).isdisjoint({"", ".", ".."}) or "\\" in member.name or not member.name.isprintable():
            raise _refused(archive, member, "is not a plain name inside the archive")
        if member.name in names or member.name in folders or not above.isdisjoint(names):
            raise _refused(archive, member, "stands there twice")
        if len(names) == limits.files:
            raise _refused(archive, member, f"is one file more than the limit of {limits.files}")
        if member.size < 0 or size_bytes > limits.size_bytes:
            raise _refused(archive, member, f"goes beyond the limit of {limits.size_bytes} bytes")
        names.add(member.name)
        folders |= above
        yield member


def _refused(archive: tarfile.TarFile, member: tarfile.TarInfo, why: str) -> BadArchive:
    return BadArchive(f"{member.name!r} in {archive.name!s} {why}.", remedy=_ASK)


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    source = archive.extractfile(member)
    if source is None:
        raise _refused(archive, member, "has no content")
    with source, path.open("xb") as stream:
        shutil.copyfileobj(source, stream)
