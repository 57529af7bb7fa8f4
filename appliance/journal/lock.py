"""One owner at a time for one job on one file, across processes."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from appliance.errors import JournalError


class FileLock:
    """Held from construction to `release`, or to the end of the process, however it ends."""

    def __init__(self, path: Path, purpose: str) -> None:
        """Take the lock at `path`. Raises JournalError naming the process that holds it for the same `purpose`."""
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise JournalError(
                f"The lock file {path} cannot be opened ({error.strerror}).",
                remedy="Check that the folder exists and that this user may write in it.",
            ) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise JournalError(
                f"Another process ({holder}) already {purpose} ({path}).",
                remedy="Let it finish, or stop it, then try again.",
            ) from error
        with suppress(OSError):  # who holds it is only told; a full disk must not keep the journal closed
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, f"{os.getpid()}\n".encode("ascii"))

    def release(self) -> None:
        """Give the lock back; safe to call twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
