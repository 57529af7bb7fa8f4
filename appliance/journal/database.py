"""The SQLite file under the journal: how it is opened, written in one piece, and how its troubles are told."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from appliance.errors import JournalError

OLDEST_SQLITE = (3, 37, 0)
BUSY_TIMEOUT_MS = 5000
NOTHING_HALF_WRITTEN = "What was recorded before is intact and nothing is half-written."

_TROUBLES = (
    ("disk is full", "the disk is full", "Free space on that disk, then start again: the scan goes on where it was."),
    ("is locked", "another program holds it", "Stop the other program that uses this journal, then try again."),
    ("malformed", "it is damaged", "Keep a copy of the file for the maker, and start with a restored or new journal."),
    ("not a database", "it is no database", "Name another file, or move this one away."),
    ("readonly", "it may not be written", "Give this user the right to write the file and its folder."),
    ("unable to open", "it cannot be opened", "Check that the folder exists and that this user may write in it."),
    (
        "disk I/O error",
        "the disk refuses to write",
        "Check free space, quota and health of that disk, then start again.",
    ),
)


def describe(error: sqlite3.Error, path: Path) -> JournalError:
    """The error of SQLite in the words of the person who meets it.

    Goes by the text, because Python 3.10 does not hand out SQLite's error codes.
    """
    text = str(error)
    for mark, trouble, remedy in _TROUBLES:
        if mark in text:
            return JournalError(f"{path}: {trouble} ({text}).", safe=NOTHING_HALF_WRITTEN, remedy=remedy)
    return JournalError(
        f"{path} refused an entry ({text}).",
        safe=NOTHING_HALF_WRITTEN,
        remedy="This is a fault of the program: report it with this text.",
    )


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into JournalError."""
    try:
        yield
    except sqlite3.Error as error:
        raise describe(error, path) from error


@contextmanager
def transaction(connection: sqlite3.Connection, path: Path) -> Iterator[None]:
    """All of the block or nothing of it, on disk when it returns. Raises JournalError."""
    with told(path):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            # SQLite has already rolled back after some errors, a full disk among them.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def require_folder(path: Path) -> None:
    """Raise JournalError when the folder of the file is not there."""
    if not path.parent.is_dir():
        raise JournalError(f"The folder {path.parent} does not exist.", remedy="Create it, or name a file elsewhere.")


def connect(path: Path, *, query_only: bool = False) -> sqlite3.Connection:
    """Open the file in WAL mode with every commit flushed to disk.

    The connection may pass between threads; its owner serialises them. Raises JournalError.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        needed = ".".join(map(str, OLDEST_SQLITE))
        raise JournalError(
            f"SQLite {sqlite3.sqlite_version} is too old for the journal, which needs {needed}.",
            remedy="Use the Python of Debian 12, Ubuntu 22.04 or later.",
        )
    require_folder(path)
    if query_only and not path.exists():
        raise JournalError(f"There is no file {path}.", remedy="Name another file, or scan a slide first.")
    with told(path):
        connection = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False
        )
        try:
            _set_up(connection, path, query_only=query_only)
        except BaseException:
            connection.close()
            raise
    return connection


def connect_and(
    path: Path, prepare: Callable[[sqlite3.Connection, Path], None], *, query_only: bool = False
) -> sqlite3.Connection:
    """`connect`, then `prepare` (make or check the tables); the connection is closed again when that fails."""
    connection = connect(path, query_only=query_only)
    try:
        prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


class DatabaseFile:
    """One connection to one file, which threads may share. Every use raises JournalError when the file fails."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._mutex = threading.RLock()

    def close(self) -> None:
        """Close the file; safe to call twice."""
        with self._mutex:
            self._connection.close()

    def __enter__(self: FileT) -> FileT:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._mutex, transaction(self._connection, self.path):
            yield self._connection

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._mutex, told(self.path):
            yield self._connection


FileT = TypeVar("FileT", bound=DatabaseFile)


def _set_up(connection: sqlite3.Connection, path: Path, *, query_only: bool) -> None:
    connection.row_factory = sqlite3.Row
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise JournalError(
            f"{path} cannot have a write-ahead log (mode {mode}).",
            remedy="Put it on a local disk, not on a network share.",
        )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA journal_size_limit = 16777216")
    if query_only:
        connection.execute("PRAGMA query_only = ON")


def check_integrity(connection: sqlite3.Connection, path: Path) -> None:
    """Read the whole file for damage. Raises JournalError naming the first trouble."""
    with told(path):
        found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    if found != "ok":
        raise describe(sqlite3.DatabaseError(f"malformed: {found}"), path)


def require_free_space(path: Path, min_free_mb: float) -> None:
    """Refuse to start when the disk of the journal has less than min_free_mb (10^6 bytes) left. Raises JournalError."""
    require_folder(path)
    free_mb = shutil.disk_usage(path.parent).free / 1e6
    if free_mb < min_free_mb:
        raise JournalError(
            f"The disk of journal {path} has {free_mb:.0f} MB left; {min_free_mb:.0f} MB are needed to start a slide.",
            safe="No slide was started.",
            remedy="Free space on that disk, or move the journal to a larger one.",
        )


def size_bytes(path: Path) -> int:
    """Bytes that the journal holds on disk, write-ahead log included."""
    parts = (path, path.with_name(path.name + "-wal"))
    return sum(part.stat().st_size for part in parts if part.exists())
