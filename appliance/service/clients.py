"""A Unix socket and the clients behind it, line by line. Knows nothing of what the lines mean."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from appliance.messages.link_options import Waker
from appliance.service.errors import ServiceError

MODE = 0o660
MOST_CLIENTS = 16
_MOST_UNREAD = 1 << 18
_CHUNK = 1 << 16


@dataclass
class _Client:
    """One connection. received: the beginning of a line; unsent: what it has not taken yet."""

    connection: socket.socket
    received: bytes = b""
    unsent: bytes = b""
    closing: bool = False


class Clients:
    """Owned by one thread, but for `wake`. Clients are numbers; one that has gone is sent to in vain, and safely.

    A client that does not read what it is sent, or sends no line end for longer than `longest_line`, never holds up
    the others: the first is dropped, of the second the piece is handed on as if it were a line.
    """

    def __init__(self, path: Path, longest_line: int) -> None:
        """Listen at `path`, for this user and its group. A socket that a dead process left there is replaced.

        Raises ServiceError when another process listens there, or the place cannot be used.
        """
        self._path = path
        self._longest = longest_line
        self._clients: dict[int, _Client] = {}
        self._count = 0
        self._listener = _listen(path)
        self._waker = Waker()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, 0)
        self._selector.register(self._waker.receiver, selectors.EVENT_READ, 0)

    def wake(self) -> None:
        """End the wait of `poll`, or its next one; from any thread."""
        self._waker.wake()

    def poll(self, timeout_s: float) -> Iterator[tuple[int, bytes]]:
        """Wait for something to happen, at most so long; the lines that came, each with its client's number."""
        for key, events in self._selector.select(timeout_s):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is self._waker.receiver:
                self._waker.clear()
            else:
                if events & selectors.EVENT_WRITE:
                    self._flush(key.data)
                if events & selectors.EVENT_READ:
                    yield from ((key.data, line) for line in self._receive(key.data) if self._hears(key.data))

    def send(self, number: int, line: bytes) -> None:
        """Send a line, as soon as the client takes it."""
        client = self._clients.get(number)
        if client is None or client.closing:
            return
        client.unsent += line
        if len(client.unsent) > _MOST_UNREAD:
            self._drop(number)
            return
        self._flush(number)

    def hang_up(self, number: int) -> None:
        """Close one connection once it has taken what it was sent; what it says meanwhile is not heard."""
        client = self._clients.get(number)
        if client is not None:
            client.closing = True
            self._flush(number)

    def close(self) -> None:
        """Close all, with one last try to send what was not taken yet, and remove the socket."""
        for number in list(self._clients):
            self._flush(number)
            self._drop(number)
        self._selector.close()
        self._listener.close()
        self._waker.close()
        self._path.unlink(missing_ok=True)

    def _hears(self, number: int) -> bool:
        """Whether what this client says still counts; a line before this one may have ended that."""
        client = self._clients.get(number)
        return client is not None and not client.closing

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return  # it has gone again already
        if len(self._clients) >= MOST_CLIENTS:
            connection.close()
            return
        connection.setblocking(False)
        self._count += 1
        self._clients[self._count] = _Client(connection)
        self._selector.register(connection, selectors.EVENT_READ, self._count)

    def _receive(self, number: int) -> list[bytes]:
        client = self._clients.get(number)
        if client is None:
            return []
        try:
            chunk = client.connection.recv(_CHUNK)
        except BlockingIOError:
            return []
        except OSError:
            chunk = b""
        if not chunk:
            self._drop(number)
            return []
        *lines, client.received = (client.received + chunk).split(b"\n")
        if len(client.received) > self._longest:
            lines.append(client.received)
            client.received = b""
        return [line for line in lines if line.strip()]

    def _flush(self, number: int) -> None:
        client = self._clients.get(number)
        if client is None:
            return
        try:
            client.unsent = client.unsent[client.connection.send(client.unsent) :] if client.unsent else b""
        except BlockingIOError:
            pass
        except OSError:
            self._drop(number)
            return
        if client.closing and not client.unsent:
            self._drop(number)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.unsent else 0)
        self._selector.modify(client.connection, wanted, number)

    def _drop(self, number: int) -> None:
        client = self._clients.pop(number, None)
        if client is not None:
            self._selector.unregister(client.connection)
            client.connection.close()


def _listen(path: Path) -> socket.socket:
    """A listening socket. Nobody can connect before the rights are set, as nobody listens until then."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        listener.bind(str(path))
        path.chmod(MODE)
        listener.listen(MOST_CLIENTS)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ServiceError(
            f"The socket {path} cannot be used ({error.strerror or error}).",
            safe="Nothing was started.",
            remedy="Give the socket a short path in a folder that this user may write in.",
        ) from error
    except BaseException:
        listener.close()
        raise
    return listener


def _remove_stale(path: Path) -> None:
    if not path.is_socket():
        return  # whatever else is there makes `bind` say so
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, suppress(ConnectionRefusedError):
        probe.connect(str(path))
        raise ServiceError(
            f"Another scanner service listens at {path}.",
            safe="It was left alone.",
            remedy="Stop it first, or name another socket.",
        )
    path.unlink()
