"""What a service tells its manager: systemd's notification protocol (sd_notify), over a Unix datagram socket."""

from __future__ import annotations

import math
import socket
from collections.abc import Callable, MutableMapping
from contextlib import suppress

_PATIENCE_S = 1.0


class Notifier:
    """Says ready, alive, how far, and ending; says nothing where no manager listens. Any thread may call.

    watchdog_s: the manager ends this process when it has not heard `alive` for so long; None where it does not.
    A message that cannot be sent is dropped: the manager may be starting anew, and no slide is lost over that.
    """

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        """Speak to the socket at `address`: a path, or with a leading @ an abstract name; empty: to nobody."""
        self.watchdog_s = watchdog_s
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(_PATIENCE_S)

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str], pid: int) -> Notifier:
        """As the manager says in the environment of process `pid`; what it says there is taken out of it.

        No child inherits it then, which could speak for this process.
        """
        address = environment.pop("NOTIFY_SOCKET", "")
        watchdog_us = environment.pop("WATCHDOG_USEC", "")
        watched = environment.pop("WATCHDOG_PID", str(pid))
        asked = watchdog_us.isdecimal() and watched == str(pid)
        return cls(address, int(watchdog_us) / 1e6 if asked else None)

    def ready(self, status: str) -> None:
        """The service does its work from now on."""
        self._send("READY=1", _status(status))

    def status(self, text: str) -> None:
        """One line for `systemctl status`. It is no place for a name of a case."""
        self._send(_status(text))

    def alive(self, status: str = "") -> None:
        """Something has moved on: wind the watchdog up again. Never call this from a timer."""
        parts = [] if self.watchdog_s is None else ["WATCHDOG=1"]
        self._send(*parts, *([_status(status)] if status else []))

    def extend(self, seconds: float) -> None:
        """Starting or ending takes this much longer from now on."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")

    def stopping(self, status: str) -> None:
        """The service is ending."""
        self._send("STOPPING=1", _status(status))

    def close(self) -> None:
        """Say nothing more; safe to call twice."""
        self._address = ""
        self._socket.close()

    def _send(self, *parts: str) -> None:
        if not self._address or not parts:
            return
        with suppress(OSError):
            self._socket.sendto("\n".join(parts).encode(), self._address)


class Pulse:
    """Feeds the watchdog by the turns of a loop that has nothing else to do, no more often than it needs."""

    def __init__(self, notifier: Notifier, monotonic: Callable[[], float]) -> None:
        """monotonic: seconds."""
        self._notifier = notifier
        self._monotonic = monotonic
        self._every_s = math.inf if notifier.watchdog_s is None else notifier.watchdog_s / 3
        self._due_at = -math.inf
        self._status = ""

    def turn(self, status: str) -> None:
        """The loop has turned once more, and this is how things stand."""
        now = self._monotonic()
        if now < self._due_at and status == self._status:
            return
        self._notifier.alive(status)
        self._status = status
        self._due_at = now + self._every_s


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.split())}"
