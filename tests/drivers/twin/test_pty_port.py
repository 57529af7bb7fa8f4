"""The twin's port behaves like a serial port, also towards clients that die."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from drivers.stage.transport import SerialTransport
from drivers.twin.mechanics import MechanicsSettings
from drivers.twin.pty_port import LineSettings
from drivers.twin.stage_twin import StageTwin

TIOCGEXCL = 0x80045440
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[StageTwin]:
    with StageTwin(tmp_path, MechanicsSettings()) as stage:
        yield stage


def ask(path: str, line: bytes) -> bytes:
    with serial.Serial(path, 115_200, timeout=3) as port:
        port.write(line)
        return port.read_until(b"\n")


def test_the_name_stays_while_the_terminal_changes(twin: StageTwin, tmp_path: Path) -> None:
    assert ask(twin.path, b"/1 1 4\n") == b"@01 1 04 OK IDLE WR 0\r\n"
    twin.port.unplug()
    assert not Path(twin.path).exists()
    twin.port.plug()
    assert ask(twin.path, b"/1 1 4\n") == b"@01 1 04 OK IDLE WR 0\r\n"
    twin.close()
    twin.close()
    assert not (tmp_path / "stage").is_symlink()


def test_nothing_is_echoed_and_any_line_end_will_do(twin: StageTwin) -> None:
    with serial.Serial(twin.path, 115_200, timeout=3) as port:
        twin.port.say(b"BOOT\r\n")  # only now: opening throws away what came before
        assert port.read_until(b"\n") == b"BOOT\r\n"
        for end in (b"\r", b"\n", b"\r\n"):
            port.write(b"/1 1 4" + end)
            assert port.read_until(b"\n") == b"@01 1 04 OK IDLE WR 0\r\n"
        port.timeout = 0.1
        assert port.read(1) == b""


def test_a_killed_client_does_not_lock_the_port_for_ever(twin: StageTwin) -> None:
    """A client that took the port for itself and was killed cannot give it back; the twin does."""
    code = (
        "import fcntl, sys, termios, time, serial\n"
        "p = serial.Serial(sys.argv[1], exclusive=True)\n"
        "fcntl.ioctl(p.fd, termios.TIOCEXCL)\n"
        "print('mine', flush=True)\n"
        "time.sleep(60)\n"
    )
    client = subprocess.Popen([sys.executable, "-c", code, twin.path], stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    assert client.stdout.readline() == "mine\n"
    time.sleep(0.6)  # longer than the twin's housekeeping: it must leave a living client alone
    assert exclusive(twin)
    client.kill()
    client.wait(5)
    client.stdout.close()
    deadline = time.monotonic() + 5
    while exclusive(twin):
        assert time.monotonic() < deadline, "the mark of the dead client stays"
        time.sleep(0.02)
    with serial.Serial(twin.path, exclusive=True):
        pass


def exclusive(twin: StageTwin) -> bool:
    mark = bytearray(4)
    fcntl.ioctl(twin.port._slave, TIOCGEXCL, mark)
    return any(mark)


def test_our_driver_gives_the_port_back(twin: StageTwin) -> None:
    transport = SerialTransport(twin.path, 115_200)
    assert exclusive(twin)
    transport.close()
    assert not exclusive(twin)


def test_bytes_take_their_time_when_asked_to(tmp_path: Path) -> None:
    with StageTwin(tmp_path, MechanicsSettings(), line=LineSettings(wire_time=True, baud=9_600)) as slow:
        began = time.monotonic()
        reply = ask(slow.path, b"/1 1 4\n")
        assert time.monotonic() - began >= 10 * (len(b"/1 1 4\n") + len(reply)) / 9_600 * 0.99


def test_a_reader_that_sleeps_does_not_stop_the_controller(twin: StageTwin) -> None:
    slave = os.open(twin.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        for _ in range(2_000):
            os.write(slave, b"/1 1 4\n")
            time.sleep(1e-5)
    except BlockingIOError:
        pytest.fail("the controller stopped listening")
    finally:
        termios.tcflush(slave, termios.TCIOFLUSH)
        os.close(slave)
    deadline = time.monotonic() + 5
    while b"09 OK" not in ask(twin.path, b"/1 1 9\n"):
        assert time.monotonic() < deadline


def test_the_stage_runs_as_a_process_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "drivers.twin.stage_only", "--run-dir", str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        assert ready == {"ready": True, "port": str(tmp_path / "stage")}
        assert ask(ready["port"], b"/2 0 get deviceid\n") == b"@02 0 OK IDLE WR 50081\r\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert not (tmp_path / "stage").is_symlink()
    finally:
        process.kill()
        process.stdout.close()
