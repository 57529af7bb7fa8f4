"""The maker's own client drives the twin's controller: what it accepts and refuses is not our opinion.

Native units and known devices only: its device database needs the network.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.stage import open_stage, standard_stage
from drivers.twin.mechanics import MechanicsSettings, XYMechanics, ZMechanics
from drivers.twin.pty_port import LineFault
from drivers.twin.stage_twin import StageTwin
from drivers.twin.zaber_axis import AxisEvent

zaber_motion = pytest.importorskip("zaber_motion", reason="the maker's client zaber-motion is not installed")
from zaber_motion import exceptions  # noqa: E402
from zaber_motion.ascii import Connection  # noqa: E402

QUICK = MechanicsSettings(
    x=XYMechanics(start_um=2_000, speed_mm_s=120, acceleration_mm_s2=5_000),
    y=XYMechanics(max_um=30_000, start_um=1_000, speed_mm_s=120, acceleration_mm_s2=5_000),
    z=ZMechanics(start_um=800, speed_mm_s=10, acceleration_mm_s2=200),
)


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[StageTwin]:
    with StageTwin(tmp_path, QUICK) as stage_twin:
        yield stage_twin


@pytest.fixture
def connection(twin: StageTwin) -> Iterator[Connection]:
    with Connection.open_serial_port(twin.path) as opened:
        yield opened


@pytest.fixture
def homed(connection: Connection) -> Connection:
    connection.get_device(2).get_axis(1).home()
    connection.get_device(1).all_axes.home()
    return connection


def test_it_finds_the_chain(connection: Connection) -> None:
    devices = connection.detect_devices(identify_devices=False)
    assert [device.device_address for device in devices] == [1, 2]
    assert [device.settings.get("system.axiscount") for device in devices] == [2, 1]
    assert [device.settings.get("deviceid") for device in devices] == [30222, 50081]


def test_an_axis_is_without_reference_until_homed(connection: Connection) -> None:
    axis = connection.get_device(1).get_axis(1)
    assert axis.warnings.get_flags() == {"WR", "WH"}
    assert not axis.is_homed()
    with pytest.raises(exceptions.BadDataException):
        axis.move_absolute(100)
    axis.home()
    assert axis.is_homed()
    assert axis.get_position() == 0
    assert axis.warnings.get_flags() == set()


def test_moves_of_every_kind_end_where_they_should(homed: Connection, twin: StageTwin) -> None:
    x = homed.get_device(1).get_axis(1)
    x.move_absolute(3_616)
    x.move_relative(-616)
    assert x.get_position() == 3_000
    assert x.is_busy() is False
    z = homed.get_device(2).get_axis(1)
    z.move_max()
    assert z.get_position() == 60_000
    z.move_min()
    assert z.get_position() == 0
    assert twin.mechanics.targets() == pytest.approx((3_000 * 0.15625, 0, 0))


def test_limits_read_write_and_hold(homed: Connection) -> None:
    z = homed.get_device(2).get_axis(1)
    assert (z.settings.get("limit.min"), z.settings.get("limit.max")) == (0, 60_000)
    z.settings.set("limit.max", 40_000)
    assert z.settings.get("limit.max") == 40_000
    with pytest.raises(exceptions.BadDataException):
        z.move_absolute(40_001)
    z.move_absolute(39_000)
    assert z.get_position() == 39_000


def test_per_axis_values_of_a_whole_device(homed: Connection) -> None:
    homed.get_device(1).get_axis(2).move_absolute(640)
    reply = homed.generic_command("get pos", device=1)
    assert reply.data.split() == ["0", "640"]
    assert homed.generic_command("get limit.home.triggered", device=1).data == "1 1"
    assert homed.generic_command("get peripheralid", device=2).data.isdigit()


@pytest.mark.parametrize(
    ("command", "device", "axis", "reason"),
    [
        ("get nonsense", 1, 1, exceptions.CommandFailedException),
        ("move sideways", 1, 1, exceptions.CommandFailedException),
        ("home", 1, 3, exceptions.CommandFailedException),
        ("get deviceid", 1, 1, exceptions.CommandFailedException),
        ("move abs ten", 1, 1, exceptions.BadDataException),
    ],
)
def test_nonsense_is_rejected_with_a_reason_it_knows(
    homed: Connection, command: str, device: int, axis: int, reason: type[Exception]
) -> None:
    with pytest.raises(reason):
        homed.generic_command(command, device=device, axis=axis)


def test_a_damaged_reply_is_dropped_and_times_out(homed: Connection, twin: StageTwin) -> None:
    homed.generic_command("set comm.checksum 1", device=1)
    assert homed.get_device(1).settings.get("system.axiscount") == 2, "good checksums are accepted"
    twin.port.plan(LineFault.BAD_CHECKSUM, match=b"get pos")
    with pytest.raises(exceptions.RequestTimeoutException):
        homed.get_device(1).get_axis(1).get_position()
    assert homed.get_device(1).get_axis(1).get_position() == 0


def test_a_damaged_command_is_ignored(twin: StageTwin) -> None:
    assert twin.chain.hear(b"/1 0 05:FA") != []
    assert twin.chain.hear(b"/1 0 05:FB") == []
    assert twin.chain.hear(b"/1 0 05") != [], "the checksum of a command is optional"


def test_a_stall_is_a_failed_movement(homed: Connection, twin: StageTwin) -> None:
    twin.chain.suffer("x", AxisEvent.STALL_NEXT_MOVE)
    x = homed.get_device(1).get_axis(1)
    with pytest.raises(exceptions.MovementFailedException, match="FS"):
        x.move_absolute(64_000)
    assert 0 < x.get_position() < 64_000
    assert "FS" not in x.warnings.get_flags(), "the client has cleared it"
    x.home()
    x.move_absolute(640)


def test_an_emergency_stop_is_a_failed_movement(homed: Connection, twin: StageTwin) -> None:
    x = homed.get_device(1).get_axis(1)
    threading.Timer(0.1, twin.chain.suffer, ("x", AxisEvent.EMERGENCY_STOP)).start()
    with pytest.raises(exceptions.MovementFailedException, match="FH"):
        x.move_absolute(512_000)


def test_stopping_interrupts_the_move(homed: Connection) -> None:
    x = homed.get_device(1).get_axis(1)
    threading.Timer(0.1, homed.generic_command, ("stop", 1, 1)).start()
    with pytest.raises(exceptions.MovementInterruptedException):
        x.move_absolute(512_000)
    assert 0 < x.get_position() < 512_000
    x.wait_until_idle()
    assert not x.is_busy()


def test_unplugging_closes_the_connection(homed: Connection, twin: StageTwin) -> None:
    twin.port.unplug()
    with pytest.raises((exceptions.ConnectionClosedException, exceptions.ConnectionFailedException)):
        homed.get_device(1).get_axis(1).get_position()


def test_it_and_our_driver_read_the_same_counts(twin: StageTwin) -> None:
    with open_stage(standard_stage(twin.path)) as stage:
        stage.home()
        stage.move_and_wait(x_um=1_000, y_um=500, z_um=700)
    with Connection.open_serial_port(twin.path) as connection:
        assert connection.get_device(1).get_axis(1).get_position() == 6_400
        assert connection.get_device(1).get_axis(2).get_position() == 3_200
        assert connection.get_device(2).get_axis(1).get_position() == 7_000
