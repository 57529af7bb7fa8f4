"""A real broker for tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mosquitto:
    """A mosquitto of our own on a free port; `options` are lines of its configuration file."""

    def __init__(self, folder: Path, options: str = "allow_anonymous true", listener: str = "") -> None:
        self.folder = folder
        self.port = free_port()
        self.log = folder / f"mosquitto-{self.port}.log"
        self._listener = listener
        self._process: subprocess.Popen[bytes] | None = None
        self.configure(options)

    def configure(self, options: str) -> None:
        user = "user root\n" if os.geteuid() == 0 else ""
        self._config = self.folder / f"mosquitto-{self.port}.conf"
        self._config.write_text(
            f"{user}set_tcp_nodelay true\nlistener {self.port} 127.0.0.1\n{self._listener}\n{options}\n"
        )

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([MOSQUITTO, "-v", "-c", str(self._config)], stdout=log, stderr=log)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        pytest.fail(f"mosquitto does not start: {self.log.read_text()}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(10)
            self._process = None

    def kill(self) -> None:
        self.stop(signal.SIGKILL)
