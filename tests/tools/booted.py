"""A system in a folder, booted in a container, as a bench looks at it from outside."""

from __future__ import annotations

import fcntl
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO

_BOOT_S = 60.0
_END_S = 60.0
_PAUSE_S = 0.1
_TURNS = Path("/run/cytoscan-bench.lock")
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


class Wrong(Exception):
    """Something is not as it should be."""


def until(what: str, condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Wait until the condition holds. Raises Wrong saying what does not when the time is over."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise Wrong(f"after {timeout_s:g} s still not: {what}")
        time.sleep(_PAUSE_S)


class Booted:
    """The system in `root` under its own systemd, from entering the context until leaving it.

    What it writes stays in memory and is gone at the end: the folder can be booted again. It has no network but its
    own. One at a time: without a systemd outside, two would share their control groups and end each other's services.
    Needs root and systemd-nspawn. Raises Wrong where it does not boot.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def __enter__(self) -> Booted:
        self._turn = _TURNS.open("w")
        try:
            fcntl.flock(self._turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Wrong(f"another system is booted: {_TURNS} is locked") from error
        self._said: IO[bytes] = tempfile.TemporaryFile()
        # A systemd outside gives it a unit of its own; where there is none, nobody can.
        unit = [] if Path("/run/systemd/system").is_dir() else ["--keep-unit"]
        alone = ["--register=no", *unit, "--private-network", "--console=pipe"]
        self._container = subprocess.Popen(
            ["systemd-nspawn", "--quiet", f"--directory={self._root}", "--boot", "--volatile=overlay", *alone],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
        )
        try:
            until("systemd answers in the container", self._answers, _BOOT_S)
        except Wrong:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def path(self, inside: str) -> Path:
        """Where a file of the system is found from outside."""
        return Path(f"/proc/{self._leader}/root{inside}")

    def run(self, *command: str, user: str = "root", timeout_s: float = 120.0) -> str:
        """What a command prints in the system. Raises Wrong where it fails, or takes longer."""
        who = [] if user == "root" else ["setpriv", "--reuid", user, "--regid", "cytoscan", "--init-groups"]
        enter = ["nsenter", f"--target={self._leader}", "--all", "--root", "--wd=/"]
        try:
            done = subprocess.run(
                [*enter, *who, *command],
                env=_ENVIRONMENT,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Wrong(f"not over after {timeout_s:g} s: {' '.join(command)}") from error
        if done.returncode != 0:
            raise Wrong(f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def show(self, unit: str, name: str) -> str:
        """What systemd says of a unit under this name."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def log(self, unit: str) -> str:
        """What stands in the system's log of a unit."""
        return self.run("journalctl", "--no-pager", "--output=cat", f"--unit={unit}")

    def _answers(self) -> bool:
        if self._container.poll() is not None:
            self._said.seek(0)
            raise Wrong(f"systemd-nspawn does not boot it: {self._said.read().decode(errors='replace').strip()}")
        pid = self._container.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        self._leader = children[0] if children else ""
        return bool(children) and self.path("/run/systemd/private").exists()

    def _end(self) -> None:
        self._container.terminate()  # which shuts the system down
        try:
            self._container.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._container.kill()
            self._container.wait()
        self._said.close()
        self._turn.close()
