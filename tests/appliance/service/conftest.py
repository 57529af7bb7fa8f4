"""The manager's end of the notification socket, a reading that does what a test says, and the service around it."""

from __future__ import annotations

import itertools
import json
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType

import pytest

from appliance.assays import Assay
from appliance.errors import Stopped
from appliance.scan.events import ScanListener
from appliance.service.breadcrumb import Breadcrumb
from appliance.service.clients import Clients
from appliance.service.notify import Notifier
from appliance.service.requests import LONGEST_LINE, ScanRequest, VerdictReached
from appliance.service.scanner import ScannerService

PATIENCE_S = 10.0
NOW = datetime(2026, 11, 28, 8, 0, tzinfo=timezone.utc)
SCAN = {"request": "scan", "assay": "serous", "accession": "S26/0012", "slide": "A1", "operator": "Jürgen"}


class Manager:
    """What the service manager hears: a real datagram socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def hear(self) -> str:
        """The next message, waited for."""
        self._socket.settimeout(PATIENCE_S)
        return self._socket.recv(65536).decode()

    def hear_for_ever(self) -> str:
        """The next message, however long it takes; empty when this end has been closed."""
        self._socket.settimeout(None)
        try:
            return self._socket.recv(65536).decode()
        except OSError:
            return ""

    def heard(self) -> list[str]:
        """All messages that are there already."""
        self._socket.setblocking(False)
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(65536).decode())
            except BlockingIOError:
                return messages

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # whoever waits to hear stops waiting
        self._socket.close()


def beats(messages: list[str]) -> int:
    """How often the watchdog was fed."""
    return sum("WATCHDOG=1" in message.splitlines() for message in messages)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify"))
    yield made
    made.close()


class Script:
    """A reading that does one thing after the other as a test gives them: a call, an error to raise, or a verdict."""

    def __init__(self) -> None:
        self.begun: list[ScanRequest] = []
        self.stop = threading.Event()
        self._acts: queue.SimpleQueue[Callable[[ScanListener], None] | Exception | VerdictReached] = queue.SimpleQueue()

    def __call__(
        self, request: ScanRequest, assay: Assay, listener: ScanListener, stop: threading.Event
    ) -> VerdictReached:
        self.stop = stop
        self.begun.append(request)
        while True:
            act = self._acts.get(timeout=PATIENCE_S)
            if isinstance(act, VerdictReached):
                return act
            if isinstance(act, Exception):
                raise act
            act(listener)

    def then(self, act: Callable[[ScanListener], None] | Exception | VerdictReached) -> None:
        self._acts.put(act)

    def stop_as_a_scan_does(self) -> None:
        """Wait until it is told to stop, as a scan does after a field."""

        def act(_: ScanListener) -> None:
            assert self.stop.wait(PATIENCE_S)
            raise Stopped("The scan was stopped before its end.", remedy="Start the same scan again.")

        self.then(act)


VERDICT = VerdictReached(
    run_id="run-1",
    accession="S26/0012",
    slide="A1",
    run=1,
    category="AUS",
    title="Atypia of undetermined significance",
    reasons=("Few atypical cells.",),
    planned=2,
    usable=2,
    blank=0,
    failed=0,
    resumed=0,
    engine="serous 1.0.0",
    backend="cpu: none",
    report="report.html",
)


class Client:
    """One connection to the service."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(str(path))
        self._lines = self.socket.makefile("rb")

    def say(self, text: str) -> None:
        self.socket.sendall(text.encode() + b"\n")

    def ask(self, **request: object) -> None:
        self.say(json.dumps(request))

    def hear(self) -> dict[str, object]:
        """The next event; empty when the service has closed the connection."""
        line = self._lines.readline()
        return json.loads(line) if line else {}

    def status(self) -> dict[str, object]:
        self.ask(request="status")
        return self.hear()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()
        self.socket.close()


class Running:
    """The service in a thread; its clock jumps by an hour at each look, so that nothing is fed late for politeness."""

    def __init__(self, folder: Path, script: Script, manager: Manager) -> None:
        self.path = folder / "scanner.sock"
        self.crumb = folder / "slide-in-hand.json"
        self.end = threading.Event()
        self.log: list[str] = []
        self.error: BaseException | None = None
        self._clients = Clients(self.path, LONGEST_LINE)
        self._notifier = Notifier(manager.address, watchdog_s=30.0)
        clock = itertools.count(step=3600.0)
        self._service = ScannerService(
            self._clients,
            Breadcrumb(self.crumb),
            script,
            self._notifier,
            note=self.log.append,
            now=lambda: NOW,
            monotonic=lambda: next(clock),
        )
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        try:
            self._service.serve(self.end)
        except BaseException as error:  # noqa: BLE001 - a test looks at it
            self.error = error
        finally:
            self._clients.close()
            self._notifier.close()

    def client(self) -> Client:
        return Client(self.path)

    def ended(self) -> bool:
        """Whether it ends now."""
        self._clients.wake()
        self._thread.join(PATIENCE_S)
        return not self._thread.is_alive()

    def close(self) -> None:
        self.end.set()
        assert self.ended()


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def start(tmp_path: Path, script: Script, manager: Manager) -> Iterator[Callable[[], Running]]:
    """Starts the service, again if need be; it ends with the test."""
    made: list[Running] = []

    def begin() -> Running:
        made.append(Running(tmp_path, script, manager))
        return made[-1]

    yield begin
    script.then(VERDICT)
    for running in made:
        running.close()
