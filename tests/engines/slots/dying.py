"""Work in a process that is killed, with no chance to tidy up, just before the n-th thing it does to the disk.

Python's audit events see each file opened for writing, rename, removal, folder and link, by whichever function it is
done; only fsync has none and is wrapped. Killed before a file is forced to the disk, the process leaves half of it.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import stat
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink", "os.link", "os.truncate"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def dies_at(step: int, work: Callable[[], object]) -> bool:
    """Do the work in a child that dies at its `step`-th change, from 1; False where the work was done before."""

    def die(change: int, _: str, handle: int | None) -> None:
        if change == step:
            if handle is not None and stat.S_ISREG(os.fstat(handle).st_mode):
                os.ftruncate(handle, os.fstat(handle).st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    status = _in_child(work, die)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    return False


def changes_of(work: Callable[[], object], notes: Path) -> list[list[str]]:
    """All that the work does to the disk, in order: [what, path, ...]."""

    def note(_: int, line: str, handle: int | None) -> None:
        with notes.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")

    _in_child(work, note)
    return [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()]


def _in_child(work: Callable[[], object], told: Callable[[int, str, int | None], None]) -> int:
    child = os.fork()
    if child == 0:
        gc.disable()  # it would touch, and so copy, all that the parent holds
        try:
            _listen(told)
            work()
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
            os._exit(70)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the work failed in the child, see its traceback"
    return status


def _listen(told: Callable[[int, str, int | None], None]) -> None:
    count, telling = 0, False

    def tell(line: list[str], handle: int | None = None) -> None:
        nonlocal count, telling
        if not telling:
            telling = True
            count += 1
            told(count, json.dumps(line), handle)
            telling = False

    def heard(event: str, args: tuple[Any, ...]) -> None:
        if event in _CHANGES:
            tell([event, *(str(path) for path in args if not isinstance(path, int))])
        elif event == "open" and args[2] & _WRITING:
            tell([event, str(args[0])])

    fsync = os.fsync

    def forced(handle: int) -> None:
        tell(["fsync", str(Path(f"/proc/self/fd/{handle}").readlink())], handle)
        fsync(handle)

    os.fsync = forced  # type: ignore[assignment]
    sys.addaudithook(heard)
