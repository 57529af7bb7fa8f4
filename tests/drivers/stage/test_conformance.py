"""What every dialect must show with its simulator. A new one joins by one line in PAIRS."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import AxisFault, LinkLost
from drivers.stage import Stage, Trust, open_stage
from drivers.stage.dialect import Address, Garbage, Intent, Reply, Verb, load_dialect
from drivers.twin.pty_port import LineFault
from drivers.twin.stage_twin import StageTwin
from drivers.twin.zaber_axis import AxisEvent
from tests.drivers.stage.quick_stage import QUICK, quick_settings


@dataclass(frozen=True)
class Pair:
    """A dialect by its registered name, and a simulator of a controller that speaks it."""

    dialect: str
    simulator: Callable[[Path], StageTwin]


PAIRS = [Pair("zaber", lambda folder: StageTwin(folder, QUICK))]

POINTS = [(500, 300, 900), (700, 300, 905), (700, 500, 897), (500, 500, 902), (520, 480, 902.5)]


@pytest.fixture(params=PAIRS, ids=lambda pair: pair.dialect)
def pair(request: pytest.FixtureRequest) -> Pair:
    found: Pair = request.param
    return found


@pytest.fixture
def simulator(pair: Pair, tmp_path: Path) -> Iterator[StageTwin]:
    with pair.simulator(tmp_path) as made:
        yield made


@pytest.fixture
def stage(pair: Pair, simulator: StageTwin) -> Iterator[Stage]:
    with open_stage(quick_settings(simulator.path, dialect=pair.dialect)) as opened:
        yield opened


def visit(stage: Stage, simulator: StageTwin) -> None:
    """A small scan: every point must truly be reached."""
    for x_um, y_um, z_um in POINTS:
        stage.move_and_wait(x_um, y_um, z_um)
        assert simulator.mechanics.targets() == pytest.approx((x_um, y_um, z_um), abs=0.1)


def test_it_opens_homes_and_arrives(stage: Stage, simulator: StageTwin) -> None:
    assert set(stage.trust.values()) == {Trust.UNKNOWN}
    stage.home()
    visit(stage, simulator)
    position = stage.position()
    assert (position.x_um, position.y_um, position.z_um) == pytest.approx(POINTS[-1], abs=0.1)
    assert stage.counts.repeated == 0


@pytest.mark.parametrize("fault", list(LineFault))
@pytest.mark.parametrize("nth", [0, 3])
def test_one_spoiled_answer_leads_nowhere_wrong(stage: Stage, simulator: StageTwin, fault: LineFault, nth: int) -> None:
    stage.home()
    stage.move_and_wait(*POINTS[0])
    move = stage.move(x_um=1_200, z_um=910)
    for _ in range(nth):
        stage.position()
    simulator.port.plan(fault)
    stage.wait(move)
    visit(stage, simulator)


def test_a_bad_line_still_reaches_every_point_or_says_that_it_cannot(
    pair: Pair, tmp_path: Path, simulator: StageTwin
) -> None:
    """Faults at every few answers, over and over: never a wrong place, never a hang."""
    settings = quick_settings(simulator.path, dialect=pair.dialect, reply_timeout_s=0.08)
    faults = [fault for fault in LineFault if fault is not LineFault.DELAY_REPLY]
    reached = 0
    with open_stage(settings) as stage:
        for fault in faults:
            try:
                if set(stage.trust.values()) != {Trust.HOMED}:
                    stage.home()
                for point in POINTS:
                    simulator.port.plan(fault, times=1)
                    stage.move_and_wait(*point)
                    assert simulator.mechanics.targets() == pytest.approx(point, abs=0.1)
                    reached += 1
            except LinkLost:
                assert set(stage.trust.values()) == {Trust.UNKNOWN}
    assert reached >= len(POINTS) * (len(faults) - 1)


def test_a_boot_banner_in_mid_move(stage: Stage, simulator: StageTwin) -> None:
    stage.home()
    move = stage.move(x_um=20_000)
    simulator.port.say(b"\r\nBOOTLOADER 2.0 \xff\xfe ready\r\n")
    stage.wait(move)
    visit(stage, simulator)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
@pytest.mark.parametrize("event", [AxisEvent.STALL, AxisEvent.LIMIT_SWITCH, AxisEvent.EMERGENCY_STOP])
def test_a_fault_of_an_axis_ends_trust_in_it_alone(
    stage: Stage, simulator: StageTwin, axis: str, event: AxisEvent
) -> None:
    stage.home()
    stage.move_and_wait(*POINTS[0])
    move = stage.move(**{f"{axis}_um": 1_400})
    simulator.chain.suffer(axis, event)  # type: ignore[arg-type]
    with pytest.raises(AxisFault, match=f"axis {axis}"):
        stage.wait(move)
    assert [name for name, trust in stage.trust.items() if trust is not Trust.HOMED] == [axis]
    assert stage.trust[axis] is Trust.FAULT  # type: ignore[index]
    stage.home()
    visit(stage, simulator)


def test_pulling_the_plug_and_putting_it_back(pair: Pair, stage: Stage, simulator: StageTwin) -> None:
    stage.home()
    move = stage.move(x_um=80_000)
    threading.Timer(0.1, simulator.port.unplug).start()
    began = time.monotonic()
    with pytest.raises(LinkLost):
        stage.wait(move)
    assert time.monotonic() - began < 3.0
    stage.close()
    simulator.port.plug()
    with open_stage(quick_settings(simulator.path, dialect=pair.dialect)) as again:
        assert set(again.trust.values()) == {Trust.UNKNOWN}
        again.home()
        visit(again, simulator)


@pytest.mark.parametrize("name", [pair.dialect for pair in PAIRS])
class TestPurity:
    """A dialect has no memory and is never surprised."""

    def test_the_same_intent_gives_the_same_bytes(self, name: str) -> None:
        dialect = load_dialect(name)
        for verb in Verb:
            intent = Intent(verb, Address(1, 1), 42)
            assert dialect.encode(intent, 3) == load_dialect(name).encode(intent, 3) == dialect.encode(intent, 3)

    def test_moves_by_an_amount_are_never_idempotent(self, name: str) -> None:
        assert not load_dialect(name).encode(Intent(Verb.MOVE_BY, Address(1, 1), 42), 1).idempotent

    @given(frame=st.binary(max_size=120))
    def test_no_frame_makes_it_fail(self, name: str, frame: bytes) -> None:
        dialect = load_dialect(name)
        meaning = dialect.decode(frame)
        if isinstance(meaning, Reply):
            dialect.rejection(meaning)
            dialect.flags(meaning)
        elif isinstance(meaning, Garbage):
            assert meaning.reason

    @given(stream=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=6))
    def test_framing_does_not_depend_on_the_cutting(self, name: str, stream: bytes, cuts: list[int]) -> None:
        dialect = load_dialect(name)
        whole = dialect.framer().feed(stream)
        framer = dialect.framer()
        places = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
        assert [f for a, b in itertools.pairwise(places) for f in framer.feed(stream[a:b])] == whole
