"""How an MQTT connection is to be made, and what is told when it cannot be."""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import ApplianceError


class LinkDown(ApplianceError):
    """The broker cannot be reached, refuses the connection, or went away."""

    def __init__(self, what: str, *, remedy: str = "Check host, port and network of the broker.") -> None:
        super().__init__(what, safe="Messages wait in the journal.", remedy=remedy)


@dataclass(frozen=True)
class TlsFiles:
    """PEM files: the broker's authority, and this side's own certificate with its key."""

    ca_file: Path
    cert_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True)
class Will:
    """What the broker publishes (QoS 1, retained) when this side goes silent. delay_s: MQTT 5 only."""

    topic: str
    payload: bytes
    delay_s: int = 10


@dataclass(frozen=True)
class LinkOptions:
    """How to connect.

    protocol: "5" or "3.1.1". session_expiry_s: how long the broker keeps messages for an absent client (MQTT 5;
    with 3.1.1 the broker decides). manual_ack: a message is acknowledged only by `Link.ack`.
    """

    host: str
    port: int
    client_id: str
    protocol: str = "5"
    keepalive_s: int = 30
    connect_timeout_s: float = 10.0
    session_expiry_s: int = 3600
    username: str | None = None
    password_file: Path | None = None
    tls: TlsFiles | None = None
    will: Will | None = None
    manual_ack: bool = False


class Waker:
    """Ends another thread's wait on the network."""

    def __init__(self) -> None:
        self.receiver, self._sender = socket.socketpair()
        self.receiver.setblocking(False)
        self._sender.setblocking(False)

    def wake(self) -> None:
        """End the wait, or the next one; from any thread, also after `close`."""
        with suppress(OSError):  # full: it is awake already; closed: nobody waits
            self._sender.send(b"!")

    def clear(self) -> None:
        """Take the wakes that came."""
        with suppress(BlockingIOError):
            self.receiver.recv(4096)

    def close(self) -> None:
        """Free both ends; safe to call twice."""
        self.receiver.close()
        self._sender.close()
