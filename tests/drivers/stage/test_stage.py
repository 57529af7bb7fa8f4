"""The stage's rules: homing order, trust, limits, protection of the slide, faults, stop."""

from __future__ import annotations

import contextlib
import math
import statistics
import sys
import threading
import time
from collections.abc import Callable

import pytest

from drivers.errors import AxisFault, LimitError, LinkLost, NotHomed
from drivers.stage import Move, MoveStopped, NoAnswer, Stage, StageBusy, Trust
from drivers.twin.pty_port import LineFault
from drivers.twin.stage_twin import StageTwin
from drivers.twin.zaber_axis import AxisEvent

ALL_HOMED = {"x": Trust.HOMED, "y": Trust.HOMED, "z": Trust.HOMED}
ALL_UNKNOWN = {"x": Trust.UNKNOWN, "y": Trust.UNKNOWN, "z": Trust.UNKNOWN}


def sent(stage: Stage) -> list[str]:
    """Commands sent so far, without ids and checksums: 'device axis words'."""
    lines = [e.data.decode().strip("/\n").partition(":")[0].split() for e in stage.trace() if e.direction == "out"]
    return [" ".join(line[:2] + line[3:]) for line in lines]


def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "condition not met in time"
        time.sleep(0.001)


def test_nothing_moves_before_homing(opened: Callable[..., Stage]) -> None:
    stage = opened()
    assert stage.trust == ALL_UNKNOWN
    with pytest.raises(NotHomed, match="x is unknown"):
        stage.move(x_um=100)
    with pytest.raises(NotHomed):
        stage.position()
    assert not any("move" in line for line in sent(stage))


def test_homing_takes_z_down_before_xy(homed: Stage) -> None:
    assert homed.trust == ALL_HOMED
    assert (homed.position().x_um, homed.position().y_um, homed.position().z_um) == (0, 0, 0)
    lines = sent(homed)
    assert [line for line in lines if line.endswith("home")] == ["2 1 home", "1 1 home", "1 2 home"]
    after_z = lines[lines.index("2 1 home") : lines.index("1 1 home")]
    assert "2 1 get pos" in after_z
    assert "2 1 warnings" in after_z, "Z must be proven homed before XY start"


def test_xy_stays_when_z_does_not_home(twin: StageTwin, opened: Callable[..., Stage]) -> None:
    stage = opened()
    threading.Timer(0.02, twin.chain.suffer, ("z", AxisEvent.STALL)).start()
    with pytest.raises(AxisFault, match="axis z"):
        stage.home()
    assert stage.trust["z"] is Trust.FAULT
    assert "1 1 home" not in sent(stage)


def test_a_lost_answer_to_home_is_looked_into(twin: StageTwin, opened: Callable[..., Stage]) -> None:
    stage = opened()
    twin.port.plan(LineFault.DROP_REPLY, match=b"1 1 ")
    twin.port.plan(LineFault.DROP_REPLY, match=b"home")
    stage.home()
    assert stage.trust == ALL_HOMED


def test_a_move_arrives_and_is_accounted_for(homed: Stage) -> None:
    move = homed.move(x_um=1_000, y_um=500.1, z_um=1_000.04)
    assert homed.trust == {"x": Trust.MOVING, "y": Trust.MOVING, "z": Trust.MOVING}
    times = homed.wait(move)
    assert homed.trust == ALL_HOMED
    position = homed.position()
    assert position.x_um == 1_000
    assert position.y_um == pytest.approx(500.1, abs=0.08)
    assert position.z_um == pytest.approx(1_000.0, abs=0.051)
    assert times.move_s >= move.motion_s - 0.005
    assert move.predicted_s == pytest.approx(move.motion_s + move.settle_s)
    assert homed.hardware_seconds == pytest.approx(move.predicted_s)


def test_a_move_to_where_it_stands_takes_nothing(homed: Stage) -> None:
    homed.move_and_wait(x_um=1_000.03)
    move = homed.move(x_um=1_000.03)
    assert move.legs == ()
    homed.wait(move)


def test_z_approaches_from_below(homed: Stage) -> None:
    homed.move_and_wait(z_um=1_000)
    before = len(sent(homed))
    homed.move_and_wait(z_um=990)
    assert [line for line in sent(homed)[before:] if "move" in line] == ["2 1 move abs 9870", "2 1 move abs 9900"]
    before = len(sent(homed))
    homed.move_and_wait(z_um=991)
    assert [line for line in sent(homed)[before:] if "move" in line] == ["2 1 move abs 9910"]


def test_the_truth_after_a_way_down_is_that_after_a_way_up(twin: StageTwin, homed: Stage) -> None:
    heights = []
    for target in (1_000, 1_010, 1_000, 990, 1_000):
        homed.move_and_wait(z_um=target)
        if target == 1_000:
            time.sleep(0.05)
            heights.append(twin.mechanics.true_position(time.monotonic())[2])
    assert max(heights) - min(heights) < 0.6, "0.7 µm of play would show"


def test_a_long_way_lowers_z_first(homed: Stage) -> None:
    homed.move_and_wait(z_um=3_000)
    before = len(sent(homed))
    move = homed.move(x_um=10_000, y_um=5_000)
    homed.wait(move)
    moves = [line for line in sent(homed)[before:] if "move" in line]
    assert moves == ["2 1 move abs 29000", "1 1 move abs 64000", "1 2 move abs 32000"]
    assert move.targets_um["z"] == 2_900


@pytest.mark.parametrize(
    "target",
    [
        {"x_um": -1},
        {"x_um": 80_001},
        {"y_um": 30_001},
        {"z_um": 6_001},
        {"z_um": 2},
        {"x_um": math.nan},
        {"z_um": math.inf},
    ],
)
def test_targets_outside_the_limits_are_refused(homed: Stage, target: dict[str, float]) -> None:
    before = len(sent(homed))
    with pytest.raises(LimitError):
        homed.move(**target)
    assert sent(homed)[before:] == []
    assert homed.trust == ALL_HOMED
    homed.move_and_wait(x_um=10)


def test_limits_leave_room_for_the_approach(homed: Stage) -> None:
    assert homed.limits() == {"x": (0, 80_000), "y": (0, 30_000), "z": (3, 6_000)}
    homed.move_and_wait(z_um=3)


def test_one_move_at_a_time(homed: Stage) -> None:
    move = homed.move(x_um=2_000)
    with pytest.raises(StageBusy):
        homed.move(y_um=2_000)
    homed.wait(move)
    homed.move_and_wait(y_um=1_000)


def test_stop_ends_a_long_move_and_keeps_the_reference(homed: Stage) -> None:
    caught: list[BaseException] = []
    move = homed.move(x_um=80_000)

    def wait() -> None:
        try:
            homed.wait(move)
        except MoveStopped as error:
            caught.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    until(lambda: homed.position().x_um > 500)
    began = time.monotonic()
    homed.stop()
    assert time.monotonic() - began < 0.4, "80 mm at 120 mm/s would take 0.67 s"
    waiting.join(5)
    assert len(caught) == 1
    assert homed.trust == ALL_HOMED
    assert 500 < homed.position().x_um < 79_000
    homed.move_and_wait(x_um=1_000)
    assert homed.position().x_um == 1_000


def test_stop_during_homing_leaves_the_axis_unknown(opened: Callable[..., Stage]) -> None:
    stage = opened()
    threading.Timer(0.05, stage.stop).start()
    with pytest.raises(MoveStopped):
        stage.home()
    until(lambda: stage.trust["z"] is Trust.UNKNOWN)
    with pytest.raises(NotHomed):
        stage.move(x_um=10)
    until(lambda: not any(thread.name.startswith("Thread-") for thread in threading.enumerate()))
    stage.home()
    assert stage.trust == ALL_HOMED


def test_retract_takes_z_away(homed: Stage) -> None:
    homed.move_and_wait(z_um=3_000)
    assert homed.retract()
    assert homed.position().z_um == 500
    assert homed.retract(), "already there"


def test_retract_without_reference_moves_nothing(opened: Callable[..., Stage]) -> None:
    stage = opened()
    assert not stage.retract()
    assert not any("move" in line for line in sent(stage))


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (AxisEvent.STALL_NEXT_MOVE, "FS"),
        (AxisEvent.LIMIT_SWITCH, "WL"),
        (AxisEvent.LIMIT_FAULT, "FE"),
        (AxisEvent.EMERGENCY_STOP, "FH"),
    ],
)
def test_an_axis_fault_stops_all_and_retracts_z(twin: StageTwin, homed: Stage, event: AxisEvent, words: str) -> None:
    homed.move_and_wait(z_um=2_000)
    if event is AxisEvent.STALL_NEXT_MOVE:
        twin.chain.suffer("x", event)
        move = homed.move(x_um=1_400)
    else:
        move = homed.move(x_um=1_400)
        twin.chain.suffer("x", event)
    with pytest.raises(AxisFault, match=words) as caught:
        homed.wait(move)
    assert "Z is retracted" in caught.value.safe
    assert "home" in caught.value.remedy
    assert homed.trust == {"x": Trust.FAULT, "y": Trust.HOMED, "z": Trust.HOMED}
    assert twin.mechanics.commanded_um("z", time.monotonic()) == pytest.approx(500)
    with pytest.raises(NotHomed, match="x is fault"):
        homed.move(x_um=10)
    homed.home()
    assert homed.trust == ALL_HOMED


def test_a_fault_of_z_itself_is_told_as_such(twin: StageTwin, homed: Stage) -> None:
    twin.chain.suffer("z", AxisEvent.STALL_NEXT_MOVE)
    with pytest.raises(AxisFault, match="axis z stalled") as caught:
        homed.move_and_wait(z_um=2_000)
    assert "left standing" in caught.value.safe


def test_a_turned_knob_spoils_the_move_but_not_the_reference(twin: StageTwin, homed: Stage) -> None:
    homed.move_and_wait(z_um=2_000)
    move = homed.move(x_um=1_400)
    twin.chain.suffer("x", AxisEvent.KNOB, 300)
    with pytest.raises(AxisFault, match="knob") as caught:
        homed.wait(move)
    assert "Z is retracted" in caught.value.safe
    assert homed.trust == ALL_HOMED
    homed.move_and_wait(x_um=1_000)
    assert homed.position().x_um == 1_000


def test_an_axis_that_never_says_idle_is_a_fault(twin: StageTwin, homed: Stage) -> None:
    homed.move_and_wait(z_um=2_000)
    move = homed.move(x_um=100)
    twin.chain.suffer("x", AxisEvent.JAM)
    with pytest.raises(AxisFault, match="still moves") as caught:
        homed.wait(move)
    assert "Z is retracted" in caught.value.safe, "an axis that does not stop must not keep Z near the slide"
    assert homed.trust == {"x": Trust.FAULT, "y": Trust.HOMED, "z": Trust.HOMED}
    with pytest.raises(AxisFault, match="does not come to rest"):
        homed.stop()


def test_a_lost_answer_during_a_move_does_no_harm(twin: StageTwin, homed: Stage) -> None:
    twin.port.plan(LineFault.DROP_REPLY, match=b"move abs")
    twin.port.plan(LineFault.BAD_CHECKSUM, match=b"get pos")
    homed.move_and_wait(x_um=1_400)
    assert homed.position().x_um == 1_400
    assert homed.counts.repeated == 2


def test_silence_ends_trust(twin: StageTwin, homed: Stage) -> None:
    move = homed.move(x_um=1_400)
    twin.port.plan(LineFault.DROP_COMMAND, times=1_000)
    with pytest.raises(NoAnswer):
        homed.wait(move)
    assert homed.trust == ALL_UNKNOWN


def test_unplugging_during_a_move_is_link_lost(twin: StageTwin, homed: Stage) -> None:
    move = homed.move(x_um=80_000)
    threading.Timer(0.1, twin.port.unplug).start()
    began = time.monotonic()
    with pytest.raises(LinkLost) as caught:
        homed.wait(move)
    assert not isinstance(caught.value, NoAnswer)
    assert time.monotonic() - began < 3
    assert homed.trust == ALL_UNKNOWN
    with pytest.raises((LinkLost, NotHomed)):
        homed.move(x_um=1)


def test_after_replugging_the_stage_must_be_homed(twin: StageTwin, homed: Stage, opened: Callable[..., Stage]) -> None:
    twin.port.unplug()
    until(lambda: _is_lost(homed))
    twin.port.plug()
    again = opened()
    assert again.trust == ALL_UNKNOWN
    again.home()
    again.move_and_wait(x_um=1_000)


def _is_lost(stage: Stage) -> bool:
    try:
        stage.position()
    except (LinkLost, NotHomed):
        return True
    return False


def test_closing_twice_is_fine_and_ends_everything(homed: Stage) -> None:
    homed.close()
    homed.close()
    with pytest.raises(LinkLost, match="closed"):
        homed.home()


def test_when_x_does_not_home_y_is_stopped(twin: StageTwin, opened: Callable[..., Stage]) -> None:
    stage = opened()
    twin.chain.suffer("x", AxisEvent.STALL_NEXT_MOVE)
    twin.mechanics.command_move("y", 30_000)
    until(lambda: not twin.mechanics.busy("y", time.monotonic()))

    def stall_soon() -> None:
        until(lambda: "1 2 home" in sent(stage))
        twin.chain.suffer("x", AxisEvent.STALL)

    saboteur = threading.Thread(target=stall_soon)
    saboteur.start()
    with pytest.raises(AxisFault, match="axis x") as caught:
        stage.home()
    saboteur.join(5)
    assert "Z is retracted" in caught.value.safe
    assert stage.trust == {"x": Trust.FAULT, "y": Trust.UNKNOWN, "z": Trust.HOMED}
    assert twin.mechanics.targets()[1] > 1_000, "y must not go on homing"


def test_leaving_in_trouble_retracts_z(twin: StageTwin, homed: Stage) -> None:
    homed.move_and_wait(z_um=2_000)
    with pytest.raises(RuntimeError, match="elsewhere"), homed:
        raise RuntimeError("something elsewhere")
    assert twin.mechanics.targets()[2] == pytest.approx(500)


def test_leaving_in_peace_leaves_z_where_it_is(twin: StageTwin, homed: Stage) -> None:
    with homed:
        homed.move_and_wait(z_um=2_000)
    assert twin.mechanics.targets()[2] == pytest.approx(2_000)


def test_no_leg_begins_after_a_stop(twin: StageTwin, homed: Stage) -> None:
    """Stops at many instants of a move of several legs: what the stage says afterwards is where it stays."""
    for delay_ms in range(0, 120, 8):
        homed.move_and_wait(1_000, 500, 3_000)
        move = homed.move(5_000, 5_000, 3_010)
        waiting = threading.Thread(target=lambda move=move: _wait_stopped(homed, move))
        waiting.start()
        time.sleep(delay_ms / 1e3)
        homed.stop()
        waiting.join(5)
        assert homed.trust == ALL_HOMED
        position = homed.position()
        now = time.monotonic()
        assert not any(twin.mechanics.busy(axis, now) for axis in ("x", "y", "z"))
        assert twin.mechanics.targets() == pytest.approx((position.x_um, position.y_um, position.z_um), abs=0.1)


def _wait_stopped(stage: Stage, move: Move) -> None:
    with contextlib.suppress(MoveStopped):
        stage.wait(move)


def test_waiting_costs_little_and_never_ends_early(homed: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """The bound is generous, for busy machines; `python -m drivers.stage.bench` measures."""
    homed.move_and_wait(1_000, 1_000, 1_000)
    over_ms = []
    for index in range(1, 16):
        move = homed.move(x_um=1_000 + 565 * index, z_um=1_000 + index % 3)
        times = homed.wait(move)
        over_ms.append(1e3 * (times.move_s - move.motion_s))
        assert times.settle_s >= 0.0049
    with capsys.disabled():
        sys.stdout.write(f" wait overhead: median {statistics.median(over_ms):.2f} ms, most {max(over_ms):.2f} ms ")
    assert min(over_ms) > -0.5
    assert statistics.median(over_ms) < 40
