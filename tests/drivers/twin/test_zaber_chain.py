"""The twin's controller, line by line, with the clock in the hand."""

from __future__ import annotations

import pytest

from drivers.twin.mechanics import Axis, Mechanics, MechanicsSettings
from drivers.twin.zaber import ZaberChain, ZaberSettings, lrc
from drivers.twin.zaber_axis import AxisEvent


class Line:
    """A chain and its clock."""

    def __init__(self) -> None:
        self.now = 10.0
        self.mechanics = Mechanics(MechanicsSettings(), lambda: self.now)
        self.chain = ZaberChain(ZaberSettings(), self.mechanics, lambda: self.now)

    def say(self, text: str) -> list[str]:
        return [reply.decode().rstrip("\r\n") for reply in self.chain.hear(text.encode())]

    def rest(self) -> list[str]:
        """Let all motion end; the alerts on the way."""
        alerts = []
        while (due := self.chain.next_event_s()) != float("inf"):
            self.now = due
            alerts += [alert.decode().rstrip("\r\n") for alert in self.chain.tick()]
        return alerts

    def homed(self) -> Line:
        self.say("/0 0 home")
        self.rest()
        return self


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.mark.parametrize(
    ("command", "replies"),
    [
        ("/", ["@01 0 OK IDLE WR 0", "@02 0 OK IDLE WR 0"]),
        ("/0 0 00:00", ["@01 0 00 OK IDLE WR 0", "@02 0 00 OK IDLE WR 0"]),
        ("/1", ["@01 0 OK IDLE WR 0"]),
        ("/2 1 7 get deviceid", ["@02 1 07 RJ IDLE WR DEVICEONLY"]),
        ("/2 0 7 get deviceid", ["@02 0 07 OK IDLE WR 50081"]),
        ("/1 get comm.packet.size.max", ["@01 0 OK IDLE WR 80"]),
        ("/1 0 get pos", ["@01 0 OK IDLE WR 0 0"]),
        ("/2 get peripheralid", ["@02 0 OK IDLE WR 70122"]),
        ("/1 1 1 warnings", ["@01 1 01 OK IDLE WR 02 WR WH"]),
        ("/1 3 1 home", ["@01 3 01 RJ IDLE WR BADAXIS"]),
        ("/1 1 1 move abs 5", ["@01 1 01 RJ IDLE WR BADDATA"]),
        ("/1 1 1 move vel 5", ["@01 1 01 RJ IDLE WR BADCOMMAND"]),
        ("/3 1 1 home", []),
        ("nothing for us", []),
        ("/1 0 05:FB", []),
        ("/1 0 05:", []),
    ],
)
def test_replies(line: Line, command: str, replies: list[str]) -> None:
    assert line.say(command) == replies


def test_checksums_and_alerts_are_switched_per_device(line: Line) -> None:
    line.say("/1 0 set comm.checksum 1")
    checked, plain = line.say("/0 0 9")
    body, _, code = checked[1:].partition(":")
    assert int(code, 16) == lrc(body.encode())
    assert ":" not in plain
    line.say("/2 set comm.alert 1")
    line.say("/0 home")
    assert line.rest() == ["!02 1 IDLE --"]


def test_homing_gives_the_reference(line: Line) -> None:
    assert line.say("/2 1 home") == ["@02 1 OK BUSY WR 0"]
    line.rest()
    assert line.say("/2 1 get limit.home.triggered") == ["@02 1 OK IDLE -- 1"]
    assert line.say("/2 1 get pos") == ["@02 1 OK IDLE -- 0"]
    line.say("/2 1 move abs 30000")
    line.rest()
    assert line.mechanics.targets()[2] == pytest.approx(3_000.0)


def test_before_homing_it_counts_from_where_it_stood(line: Line) -> None:
    line.say("/1 1 move rel 64")
    line.rest()
    assert line.say("/1 1 get pos") == ["@01 1 OK IDLE WR 64"]
    assert line.mechanics.targets()[0] == pytest.approx(21_010.0)


def test_an_interrupted_homing_leaves_no_reference(line: Line) -> None:
    line.homed().say("/1 1 move abs 100000")
    line.rest()
    line.say("/1 1 home")
    line.now += 0.1
    line.say("/1 1 stop")
    line.rest()
    assert line.say("/1 1 get limit.home.triggered") == ["@01 1 OK IDLE WR 0"]
    assert line.say("/1 1 move abs 5")[0].endswith("BADDATA")


def test_a_moving_axis_is_busy_for_as_long_as_the_trapezoid(line: Line) -> None:
    line.homed().say("/1 2 move abs 3616")
    line.now += 0.066
    assert line.say("/1 2") == ["@01 2 OK BUSY -- 0"]
    assert line.say("/1 1") == ["@01 1 OK IDLE -- 0"]
    assert line.say("/1") == ["@01 0 OK BUSY -- 0"]
    line.now += 0.002
    assert line.say("/1 2 get pos") == ["@01 2 OK IDLE -- 3616"]


def test_a_new_order_interrupts_and_a_finished_one_clears_the_note(line: Line) -> None:
    line.homed().say("/1 1 move abs 64000")
    line.now += 0.1
    assert line.say("/1 1 move abs 0") == ["@01 1 OK BUSY NI 0"]
    line.rest()
    assert line.say("/1 1 warnings") == ["@01 1 OK IDLE NI 01 NI"]
    assert line.say("/1 1 move abs 640") == ["@01 1 OK BUSY -- 0"]


def test_speed_and_acceleration_can_be_set(line: Line) -> None:
    line.homed().say("/1 1 set accel 131")
    line.say("/1 1 set maxspeed 131072")
    began = line.now
    line.say("/1 1 move abs 64000")
    line.rest()
    assert line.now - began == pytest.approx(10.0 / 12.5 + 12.5 / 125, rel=0.01)
    assert line.say("/1 1 set maxspeed 0")[0].endswith("BADDATA")


def test_limits_hold_and_can_be_moved(line: Line) -> None:
    line.homed()
    assert line.say("/2 1 move abs 60001")[0].endswith("BADDATA")
    assert line.say("/2 1 move rel -1")[0].endswith("BADDATA")
    line.say("/2 1 set limit.max 50000")
    assert line.say("/2 1 move abs 50001")[0].endswith("BADDATA")
    assert line.say("/2 1 move max") == ["@02 1 OK BUSY -- 0"]


@pytest.mark.parametrize(
    ("event", "flag"),
    [
        (AxisEvent.STALL, "FS"),
        (AxisEvent.LIMIT_SWITCH, "WL"),
        (AxisEvent.LIMIT_FAULT, "FE"),
        (AxisEvent.EMERGENCY_STOP, "FH"),
    ],
)
def test_what_stops_an_axis_shows_first_in_every_reply(line: Line, event: AxisEvent, flag: str) -> None:
    line.homed().say("/1 1 move abs 64000")
    line.now += 0.1
    line.chain.suffer("x", event)
    line.now += 1e-6
    assert line.say("/1 0") == [f"@01 0 OK IDLE {flag} 0"]
    assert line.say("/2 0") == ["@02 0 OK IDLE -- 0"]
    assert 0 < int(line.say("/1 1 get pos")[0].split()[-1]) < 64_000
    line.say("/1 1 warnings clear")
    assert line.say("/1 0") == ["@01 0 OK IDLE -- 0"]


def test_a_stall_of_the_next_move_stops_it_half_way(line: Line) -> None:
    line.homed()
    line.chain.suffer("x", AxisEvent.STALL_NEXT_MOVE)
    line.say("/1 1 move abs 64000")
    line.rest()
    reply = line.say("/1 1 get pos")[0]
    assert reply.startswith("@01 1 OK IDLE FS ")
    assert int(reply.split()[-1]) == pytest.approx(32_000, rel=0.01)


@pytest.mark.parametrize("axis", ["x", "z"])
def test_a_knob_moves_and_is_noted(line: Line, axis: Axis) -> None:
    line.homed()
    before = line.mechanics.targets()
    line.chain.suffer(axis, AxisEvent.KNOB, 50.0)
    line.rest()
    moved = [after - b for after, b in zip(line.mechanics.targets(), before, strict=True)]
    assert moved["xyz".index(axis)] == pytest.approx(50.0, abs=0.1)
    assert " NC " in line.say("/1 0" if axis == "x" else "/2 0")[0]
