"""Changes of files that are whole or not there after a power cut: forced to the disk, then named, in this order."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engines.errors import NotWritten


def draft_of(path: Path) -> Path:
    """The neighbour in which `path` is written before it takes its name; a crash may leave it behind."""
    return path.with_name(path.name + ".part")


def write_file(path: Path, data: bytes) -> None:
    """Write a file, and the folders it lies in. Raises NotWritten; an earlier file is then still there."""
    make_folder(path.parent)
    with storing(path):
        draft = draft_of(path)
        with draft.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
        sync(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they are missing. Raises NotWritten."""
    if path.is_dir():
        return
    make_folder(path.parent)
    with storing(path):
        path.mkdir(exist_ok=True)
        sync(path.parent)


def point(link: Path, target: str) -> None:
    """Let the symbolic link name `target`: readers see the old one or the new one. Raises NotWritten."""
    with storing(link):
        draft = draft_of(link)
        draft.unlink(missing_ok=True)
        draft.symlink_to(target)
        draft.replace(link)
        sync(link.parent)


def remove_file(path: Path) -> None:
    """Remove a file or a link, where there is one. Raises NotWritten."""
    with storing(path):
        if os.path.lexists(path):
            path.unlink()
            sync(path.parent)


def remove_tree(folder: Path) -> None:
    """Remove a folder with what lies in it, where there is one. Raises NotWritten."""
    with storing(folder):
        if folder.is_dir():
            shutil.rmtree(folder)
            sync(folder.parent)


def sync(path: Path) -> None:
    """Force a file, or the names in a folder and so a rename, to the disk. Raises OSError."""
    # A system may refuse to flush a file that was opened for reading only, and none opens a folder for writing.
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Force `folder`, and all files and folders below it, to the disk. Raises OSError."""
    for place, _, names in os.walk(folder):
        for name in names:
            sync(Path(place, name))
        sync(Path(place))


@contextmanager
def storing(where: Path) -> Iterator[None]:
    """Turn the disk's refusal inside the block into NotWritten, which names the file, or else `where`."""
    try:
        yield
    except OSError as error:
        raise NotWritten(
            f"{error.filename or where} cannot be read or written: {error.strerror or error}.",
            remedy="Check that the disk is there, has room, and may be written to by this user; then start again.",
        ) from error
