"""`cytoscan serve` as systemd runs it: a real socket, a real twin, a real broker, and a manager that listens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from appliance.cli.app import run
from appliance.cli.exits import Exit
from appliance.cli.twin_session import TwinSlide, twin_session
from appliance.errors import ApplianceError
from appliance.journal import Journal
from appliance.settings import Settings, load_settings
from appliance.uplink import Sender, SenderStatus
from appliance.uplink.run import run_sender
from tests.appliance.cli.conftest import command
from tests.appliance.mosquitto_process import Mosquitto
from tests.appliance.service.conftest import SCAN, Client, Manager, beats

FIELDS = 6
TINY = ("camera.width_px=480", "camera.height_px=304")
Start = Callable[..., "subprocess.Popen[str]"]


class Listening:
    """Hears everything that comes to the manager's socket, so that a service never waits to be heard."""

    def __init__(self, manager: Manager) -> None:
        self.messages: list[str] = []
        self._manager = manager
        self._more = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while message := self._manager.hear_for_ever():
            with self._more:
                self.messages.append(message)
                self._more.notify_all()

    def until(self, said: str) -> None:
        """Wait for a message with this text."""
        with self._more:
            assert self._more.wait_for(lambda: any(said in message for message in self.messages), 60), self.messages


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Listening]:
    made = Manager(str(tmp_path / "notify"))
    yield Listening(made)
    made.close()


@pytest.fixture
def serve(tmp_path: Path, manager: Listening) -> Iterator[Start]:
    """Starts `cytoscan serve` as systemd would; it is gone when the test ends."""
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "600000", "OMP_NUM_THREADS": "1"}
        running.append(
            subprocess.Popen(
                command("serve", *arguments),
                cwd=tmp_path,
                env={**os.environ, **told},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def write_settings(settings: Settings, path: Path) -> None:
    path.write_text(yaml.safe_dump(json.loads(settings.model_dump_json())))


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[None]:
    """A smear on the twin's stage, and settings.yaml that name it."""
    region = "scan.region={x_um: 38000, y_um: 13000, width_um: 1500, height_um: 1500}"
    small = [f"scan.fields={FIELDS}", region, "focus.survey_points=3", "focus.search_um=30"]
    folders = [f"journal.path={tmp_path}/journal.sqlite", f"report.directory={tmp_path}/reports"]
    settings = load_settings(None, ["optics.magnification=450", *small, *folders])
    with twin_session(TwinSlide("afb", 450, seed=46, more=TINY), settings) as completed:
        write_settings(completed, tmp_path / "settings.yaml")
        yield


def test_a_scanner_that_is_told_to_end_goes_on_with_its_slide_after_the_next_start(
    serve: Start, manager: Listening, twin: None, tmp_path: Path
) -> None:
    asked = {**SCAN, "assay": "afb"}
    scanner = ("scanner", "--settings", "settings.yaml", "--socket", "scanner.sock")
    process = serve(*scanner)
    manager.until("READY=1")
    assert [message.splitlines()[0] for message in manager.messages] == [
        "EXTEND_TIMEOUT_USEC=120000000",
        "STATUS=loading and trying the network for afb",
        "EXTEND_TIMEOUT_USEC=120000000",
        "STATUS=loading and trying the network for serous",
        "READY=1",
    ]
    with Client(tmp_path / "scanner.sock") as client:
        client.socket.settimeout(60)
        client.ask(**asked)
        told = [client.hear()]
        while told[-1].get("recorded", 0) < 2:  # type: ignore[operator]
            told.append(client.hear())
        assert [event["step"] for event in told if event["event"] == "step"][:2] == ["homing", "surveying"]
        process.send_signal(signal.SIGTERM)
        while told[-1]["event"] == "progress":
            told.append(client.hear())
    assert "All fields read so far are recorded." in str(told[-1]["safe"])
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 0, said
    assert "S26" not in said
    manager.until("STOPPING=1")
    assert beats(manager.messages) >= len(told)
    assert not (tmp_path / "scanner.sock").exists()
    recorded = max(int(str(event["recorded"])) for event in told if event["event"] == "progress")
    assert 2 <= recorded < FIELDS
    manager.messages.clear()
    again = serve(*scanner)
    manager.until("READY=1")
    with Client(tmp_path / "scanner.sock") as client:
        client.socket.settimeout(60)
        interrupted = client.status()["interrupted"]
        assert isinstance(interrupted, dict)
        assert interrupted["accession"] == asked["accession"]
        client.ask(**asked)
        told = [client.hear()]
        while told[-1]["event"] in {"accepted", "step", "progress"}:
            told.append(client.hear())
    verdict = told[-1]
    assert (verdict["event"], verdict["resumed"], verdict["run"]) == ("verdict", recorded, 1)
    assert "S26/0012" in (tmp_path / "reports" / "S26%2F0012" / "A1" / "report.html").read_text()
    again.send_signal(signal.SIGTERM)
    assert again.wait(60) == 0


def test_a_scanner_whose_network_cannot_be_loaded_is_never_ready(
    manager: Listening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    more = ["--set", f"journal.path={tmp_path}/journal.sqlite", "--set", "engines.afb=nowhere"]
    assert run(["serve", "scanner", "--socket", str(tmp_path / "scanner.sock"), *more]) == Exit.ENGINE
    assert "There is no engine package at nowhere." in capsys.readouterr().err
    manager.until("loading and trying the network for afb")
    assert not any("READY" in message for message in manager.messages)
    assert not (tmp_path / "scanner.sock").exists()


def test_the_uplink_is_ready_feeds_the_watchdog_and_ends_when_asked(
    serve: Start, manager: Listening, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    Journal.open(tmp_path / "journal.sqlite").close()
    told = {"journal": {"path": "journal.sqlite"}, "uplink": {"host": "127.0.0.1", "port": mosquitto.port}}
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(told))
    process = serve("uplink", "--settings", "settings.yaml")
    manager.until("STATUS=connected")
    assert "READY=1" in manager.messages[0]
    manager.messages.clear()
    manager.until("WATCHDOG=1")
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 0, said
    manager.until("STOPPING=1")


def test_an_uplink_that_is_switched_off_ends_well(
    manager: Listening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    assert run(["serve", "uplink", "--set", "uplink.enabled=false"]) == 0
    manager.until("STOPPING=1")
    assert manager.messages == ["READY=1\nSTATUS=switched off in the settings", "STOPPING=1\nSTATUS=ending"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_sender_whose_thread_dies_is_watched_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched: list[SenderStatus] = []
    die = threading.Event()

    def fault(_: object, __: object) -> None:
        assert die.wait(10)
        raise ZeroDivisionError

    def watch(status: SenderStatus) -> None:
        watched.append(status)
        die.set()

    monkeypatch.setattr(Sender, "_connection", fault)
    settings = load_settings(None, [f"journal.path={tmp_path}/journal.sqlite"])
    with pytest.raises(ApplianceError, match="fault of the program"):
        run_sender(settings, threading.Event(), watch)
    assert watched
    assert all(status.alive for status in watched)
