"""Reads a release from a stick for TUF's client: plain files below the release folder, and nothing else."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface

from engines.releases.errors import Refusal, ReleaseRefused
from engines.releases.layout import STICK_FOLDER

BASE_URL = "stick:///"
LIMITS = UpdaterConfig(
    root_max_length=1 << 18, timestamp_max_length=1 << 14, snapshot_max_length=1 << 18, targets_max_length=1 << 22
)
_CHUNK_BYTES = 1 << 16


class StickFetcher(FetcherInterface):
    """Fetches `stick:///metadata/…` and `stick:///targets/…` from a mounted stick.

    Each step of the way is opened by its parent's handle and never through a link, so that a stick which changes under
    us cannot lead elsewhere. last, last_bytes: what was fetched last, and how much of it came, so that a refusal can
    say what was wrong with it.
    """

    def __init__(self, stick: Path) -> None:
        self.stick = stick
        self.last = ""
        self.last_bytes = 0

    def _fetch(self, url: str) -> Iterator[bytes]:
        """The file's bytes. Raises DownloadHTTPError with 404 where it is absent, else ReleaseRefused."""
        self.last, self.last_bytes = url.removeprefix(BASE_URL), 0
        try:
            with os.fdopen(self._open(self.last), "rb") as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    self.last_bytes += len(chunk)
                    yield chunk
        except FileNotFoundError as error:
            # With this status TUF's client ends its walk through the roots; any other file it then misses.
            raise DownloadHTTPError(f"{self.last} is absent", 404) from error
        except OSError as error:
            raise self._refused(f"cannot be read: {error.strerror or error}", Refusal.INCOMPLETE) from error

    def _open(self, path: str) -> int:
        *folders, name = (STICK_FOLDER, *path.split("/"))
        with ExitStack() as opened:
            handle = os.open(self.stick, os.O_RDONLY | os.O_DIRECTORY)
            opened.callback(os.close, handle)
            for folder in folders:
                handle = self._open_in(handle, folder, stat.S_IFDIR)
                opened.callback(os.close, handle)
            return self._open_in(handle, name, stat.S_IFREG)

    def _open_in(self, folder: int, name: str, wanted: int) -> int:
        if name in {"", ".", ".."}:
            raise self._refused("leads outside the release", Refusal.TAMPERED)
        found = stat.S_IFMT(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
        if found == stat.S_IFLNK:
            raise self._refused(f"is reached through a symbolic link, {name}", Refusal.SYMLINK)
        if found != wanted:
            raise self._refused(f"is not there as a plain file: {name} is something else", Refusal.TAMPERED)
        # What was looked at may have been replaced since: no link is followed, no pipe waited for.
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)

    def _refused(self, why: str, kind: Refusal) -> ReleaseRefused:
        return ReleaseRefused(f"{self.last} on {self.stick} {why}.", kind=kind)
