"""Opening, locking and losing a serial port."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from drivers.errors import LinkLost, NoSuchPort, PortBusy
from drivers.stage.transport import SerialTransport
from drivers.twin.stage_twin import StageTwin

TIOCGEXCL = 0x80045440


@pytest.fixture
def port(twin: StageTwin) -> Iterator[SerialTransport]:
    transport = SerialTransport(twin.path, 115_200)
    yield transport
    transport.close()


def test_a_missing_port_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoSuchPort, match="does not exist") as caught:
        SerialTransport(str(tmp_path / "stage"), 115_200)
    assert "stage.port" in caught.value.remedy


def test_a_plain_file_is_no_port(tmp_path: Path) -> None:
    (tmp_path / "stage").write_text("no terminal")
    with pytest.raises(NoSuchPort):
        SerialTransport(str(tmp_path / "stage"), 115_200)


def test_a_second_program_is_kept_out(twin: StageTwin, port: SerialTransport) -> None:
    with pytest.raises(PortBusy, match="held by another program") as caught:
        SerialTransport(twin.path, 115_200)
    assert twin.path in caught.value.what
    mark = bytearray(4)
    other = os.open(twin.path, os.O_RDWR | os.O_NOCTTY) if os.getuid() == 0 else None
    if other is None:
        with pytest.raises(serial.SerialException):
            serial.Serial(twin.path)
        return
    try:
        fcntl.ioctl(other, TIOCGEXCL, mark)
        assert any(mark), "programs that ask for no lock must be kept out too"
    finally:
        os.close(other)


def test_the_port_can_be_had_again_after_closing(twin: StageTwin) -> None:
    for _ in range(3):
        transport = SerialTransport(twin.path, 115_200)
        transport.write(b"/1 0 01\n")
        assert transport.read(2.0).startswith(b"@01 0 01 OK IDLE")
        transport.close()
        transport.close()


def test_unplugging_while_reading_is_link_lost_at_once(twin: StageTwin, port: SerialTransport) -> None:
    threading.Timer(0.1, twin.port.unplug).start()
    began = time.monotonic()
    with pytest.raises(LinkLost, match="lost"):
        port.read(20.0)
    assert time.monotonic() - began < 5.0


def test_unplugging_before_writing_is_link_lost(twin: StageTwin, port: SerialTransport) -> None:
    twin.port.unplug()
    with pytest.raises(LinkLost):
        port.write(b"/1 0 01\n")


def test_a_line_that_nobody_reads_does_not_block_for_ever() -> None:
    master, slave = os.openpty()
    transport = SerialTransport(os.ttyname(slave), 115_200)
    try:
        with pytest.raises(LinkLost):
            transport.write(b"x" * 1_000_000)
    finally:
        transport.close()
        os.close(master)
        os.close(slave)


def test_wake_ends_a_wait(port: SerialTransport) -> None:
    threading.Timer(0.05, port.wake).start()
    assert port.read(20.0) == b""


def test_a_port_comes_back_under_its_name(twin: StageTwin) -> None:
    twin.port.unplug()
    with pytest.raises(NoSuchPort):
        SerialTransport(twin.path, 115_200)
    twin.port.plug()
    transport = SerialTransport(twin.path, 115_200)
    transport.close()
