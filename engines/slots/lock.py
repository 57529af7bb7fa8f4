"""Who may change the slots: one updater while no slide is read, or the scanner while it reads one."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engines.durable import make_folder
from engines.errors import NotWritten
from engines.slots.errors import SlideInProgress, UpdateUnderWay

_PATIENCE_S, _PAUSE_S = 5.0, 0.05


@contextmanager
def taking_turns(root: Path, pause: Callable[[float], None] = time.sleep) -> Iterator[None]:
    """Held while `SlotsLock` of folder `root` is taken, for a moment; a second one waits for its turn, 5 s at most.

    A scanner that looks after the slots before a slide holds the lock as an update does, but only within its turn. So
    whoever finds it taken in a turn of its own has met a real update, and need not wait for that. pause: sleeps so many
    seconds. Raises UpdateUnderWay, NotWritten.
    """
    path = root / ".turns"
    with _opened(path) as handle:
        for _ in range(round(_PATIENCE_S / _PAUSE_S)):
            if _taken(handle, fcntl.LOCK_EX):
                break
            pause(_PAUSE_S)
        else:
            raise _under_way(path)
        yield


class SlotsLock:
    """A lock file: exclusive for an update, shared for slides. A process that dies gives it back."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mode = fcntl.LOCK_UN

    @contextmanager
    def updating(self) -> Iterator[None]:
        """Held while slots are changed. Raises UpdateUnderWay, SlideInProgress, NotWritten."""
        with _opened(self._path) as handle:
            if _taken(handle, fcntl.LOCK_EX):
                with self._held(fcntl.LOCK_EX):
                    yield
            elif _taken(handle, fcntl.LOCK_SH):  # whoever holds it shares it: a scanner
                raise SlideInProgress(
                    f"A slide is being read with the engines in {self._path.parent}, or the scanner is starting.",
                    remedy="Wait for its verdict, or end it, then try again.",
                )
            else:
                raise _under_way(self._path)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Held from before a slide's engine is opened to the slide's end. Raises UpdateUnderWay, NotWritten."""
        with _opened(self._path) as handle:
            if not _taken(handle, fcntl.LOCK_SH):
                raise _under_way(self._path)
            with self._held(fcntl.LOCK_SH):
                yield

    def require(self, *, update: bool) -> None:
        """Raises RuntimeError where a caller forgot to take the lock."""
        if self._mode == fcntl.LOCK_UN or (update and self._mode != fcntl.LOCK_EX):
            raise RuntimeError(f"{self._path} is not held: call this inside {'updating' if update else 'reading'}()")

    @contextmanager
    def _held(self, mode: int) -> Iterator[None]:
        self._mode = mode
        try:
            yield
        finally:
            self._mode = fcntl.LOCK_UN


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    make_folder(path.parent)
    try:
        # For reading only: the scanner's user need not own the file.
        handle = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise NotWritten(
            f"The lock file {path} cannot be opened: {error.strerror}.",
            remedy="Check that this user may write in its folder.",
        ) from error
    try:
        yield handle
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)  # also for a worker that was forked meanwhile and lives on
        os.close(handle)


def _taken(handle: int, mode: int) -> bool:
    try:
        fcntl.flock(handle, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _under_way(path: Path) -> UpdateUnderWay:
    return UpdateUnderWay(
        f"Another process changes the engines in {path.parent}.", remedy="Let it finish, then try again."
    )
