"""The conversation when the line misbehaves: a real pseudo-terminal, real timeouts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from drivers.errors import LinkLost
from drivers.stage.dialect import Address, Intent, Verb
from drivers.stage.model import NoAnswer
from drivers.stage.session import Session
from drivers.stage.transport import SerialTransport
from drivers.stage.zaber import ZaberDialect
from drivers.twin.pty_port import LineFault
from drivers.twin.stage_twin import StageTwin

STATUS = Intent(Verb.STATUS, Address(1, 1))


@pytest.fixture
def make(twin: StageTwin) -> Iterator[Callable[[float], Session]]:
    sessions: list[Session] = []

    def open_session(timeout_s: float) -> Session:
        transport = SerialTransport(twin.path, 115_200)
        session = Session(transport, ZaberDialect(), reply_timeout_s=timeout_s, clock=time.monotonic)
        sessions.append(session)
        for device in (1, 2):
            session.request(Intent(Verb.PREPARE, Address(device)))
            session.remember(device, session.request(Intent(Verb.SERIAL, Address(device))).data)
        return session

    yield open_session
    for session in sessions:
        session.close()


def sent(session: Session, words: bytes) -> int:
    return sum(entry.data.count(words) for entry in session.trace() if entry.direction == "out")


@pytest.mark.parametrize(
    "fault",
    [LineFault.DROP_COMMAND, LineFault.DROP_REPLY, LineFault.DELAY_REPLY, LineFault.BAD_CHECKSUM, LineFault.FLIP_BIT],
)
def test_a_lost_answer_to_a_read_is_asked_for_again(
    twin: StageTwin, make: Callable[[float], Session], fault: LineFault
) -> None:
    session = make(0.15)
    twin.port.plan(fault, match=b"get pos")
    assert session.request(STATUS).accepted
    assert session.counts.repeated == 1
    assert sent(session, b"get pos") == 2
    assert sent(session, b"system.serial") == 3, "before repeating, the device must prove to be the same"


@pytest.mark.parametrize("fault", [LineFault.DUPLICATE, LineFault.GARBAGE, LineFault.SPLIT, LineFault.MERGE])
def test_noise_that_loses_nothing_costs_nothing(
    twin: StageTwin, make: Callable[[float], Session], fault: LineFault
) -> None:
    session = make(1.0)
    twin.port.plan(fault, match=b"get pos", times=3)
    positions = {session.request(STATUS).data for _ in range(4)}
    assert positions == {"0"}
    assert session.counts.repeated == 0


def test_a_relative_move_is_never_sent_twice(twin: StageTwin, make: Callable[[float], Session]) -> None:
    session = make(0.15)
    twin.port.plan(LineFault.DROP_REPLY, match=b"move rel")
    with pytest.raises(NoAnswer):
        session.request(Intent(Verb.MOVE_BY, Address(1, 1), 64))
    assert sent(session, b"move rel") == 1
    deadline = time.monotonic() + 5
    while session.request(STATUS).busy and time.monotonic() < deadline:
        pass
    assert session.request(STATUS).data == "64", "the session goes on, and the move was carried out once"


def test_homing_is_not_repeated_either(twin: StageTwin, make: Callable[[float], Session]) -> None:
    session = make(0.15)
    twin.port.plan(LineFault.DROP_REPLY, match=b"home")
    with pytest.raises(NoAnswer):
        session.request(Intent(Verb.HOME, Address(1, 1)))
    assert sent(session, b"home") == 1


def test_lasting_silence_is_no_answer_and_says_so(twin: StageTwin, make: Callable[[float], Session]) -> None:
    session = make(0.1)
    twin.port.plan(LineFault.DROP_REPLY, times=1000)
    with pytest.raises(NoAnswer, match="no valid answer") as caught:
        session.request(STATUS)
    assert "home" in caught.value.remedy


def test_a_late_answer_is_not_taken_for_the_next_one(twin: StageTwin, make: Callable[[float], Session]) -> None:
    session = make(0.15)
    session.request(Intent(Verb.HOME, Address(1, 1)))
    twin.port.plan(LineFault.DELAY_REPLY, match=b"limit.max")
    assert session.request(Intent(Verb.LIMIT_MAX, Address(1, 1))).data == "512000"
    deadline = time.monotonic() + 5
    while session.counts.unmatched == 0 and time.monotonic() < deadline:
        assert session.request(Intent(Verb.LIMIT_MIN, Address(1, 1))).data == "0"
    assert session.counts.unmatched == 1


def test_the_tag_of_a_lost_answer_rests_until_the_answer_cannot_come_any_more(
    twin: StageTwin, make: Callable[[float], Session]
) -> None:
    session = make(0.15)
    twin.port.plan(LineFault.DROP_REPLY, match=b"limit.max")
    assert session.request(Intent(Verb.LIMIT_MAX, Address(1, 1))).accepted
    for _ in range(250):  # tags come round every hundred requests, long before a late answer must have come
        session.request(Intent(Verb.LIMIT_MIN, Address(1, 1)))
    tags = [entry.data.split()[2] for entry in session.trace() if entry.direction == "out"]
    lost = next(tag for tag, entry in zip(tags, _outgoing(session), strict=True) if b"limit.max" in entry)
    assert tags.count(lost) == 1
    assert len(set(tags)) == 100, "all others are used"


def _outgoing(session: Session) -> list[bytes]:
    return [entry.data for entry in session.trace() if entry.direction == "out"]


def test_another_device_at_the_address_ends_the_session(twin: StageTwin, make: Callable[[float], Session]) -> None:
    session = make(0.15)
    session.remember(1, "99999")
    twin.port.plan(LineFault.DROP_REPLY, match=b"get pos")
    with pytest.raises(LinkLost, match="serial number"):
        session.request(STATUS)
    with pytest.raises(LinkLost):
        session.request(STATUS)


def test_stop_overtakes_a_request_that_waits_for_its_answer(twin: StageTwin, make: Callable[[float], Session]) -> None:
    session = make(2.0)
    twin.port.plan(LineFault.DROP_REPLY, match=b"get pos")
    slow = threading.Thread(target=lambda: session.request(STATUS))
    slow.start()
    deadline = time.monotonic() + 5
    while not sent(session, b"get pos") and time.monotonic() < deadline:
        time.sleep(0.001)
    began = time.monotonic()
    replies = session.urgent([Intent(Verb.STOP, Address(1)), Intent(Verb.STOP, Address(2))])
    took_s = time.monotonic() - began
    assert [reply.accepted for reply in replies] == [True, True]
    assert slow.is_alive(), "the slow request must still be waiting"
    assert took_s < 1.5
    slow.join(20)


def test_an_unanswered_stop_is_sent_again(twin: StageTwin, make: Callable[[float], Session]) -> None:
    session = make(0.15)
    twin.port.plan(LineFault.DROP_REPLY, match=b"stop")
    assert session.urgent([Intent(Verb.STOP, Address(1))])[0].accepted
    assert sent(session, b"stop") == 2


def test_unplugging_ends_a_waiting_request_at_once(twin: StageTwin, make: Callable[[float], Session]) -> None:
    session = make(5.0)
    twin.port.plan(LineFault.DROP_REPLY, match=b"get pos")
    threading.Timer(0.1, twin.port.unplug).start()
    began = time.monotonic()
    with pytest.raises(LinkLost) as caught:
        session.request(STATUS)
    assert not isinstance(caught.value, NoAnswer)
    assert time.monotonic() - began < 3.0
    with pytest.raises(LinkLost):
        session.request(STATUS)


def test_unplugging_while_idle_is_noticed(twin: StageTwin, make: Callable[[float], Session]) -> None:
    session = make(0.3)
    twin.port.unplug()
    with pytest.raises(LinkLost):
        session.request(STATUS)


def test_a_boot_banner_disturbs_nothing(twin: StageTwin, make: Callable[[float], Session]) -> None:
    session = make(1.0)
    twin.port.say(b"\x00\xffBOOT v7.38\r\n!01 0 IDLE WR\r\n")
    assert session.request(STATUS).accepted
    deadline = time.monotonic() + 5
    while session.counts.garbage + session.counts.alerts + session.bad_bytes == 0 and time.monotonic() < deadline:
        session.request(STATUS)
    assert session.bad_bytes > 0


def test_closing_frees_whoever_waits(twin: StageTwin, make: Callable[[float], Session]) -> None:
    session = make(5.0)
    twin.port.plan(LineFault.DROP_REPLY, match=b"get pos")
    threading.Timer(0.1, session.close).start()
    with pytest.raises(LinkLost, match="closed"):
        session.request(STATUS)


def test_the_trace_keeps_both_directions(make: Callable[[float], Session]) -> None:
    session = make(1.0)
    session.request(STATUS)
    out, back = session.trace()[-2:]
    assert out.direction == "out"
    assert b"get pos" in out.data
    assert back.direction == "in"
    assert back.data.endswith(b"\r\n")
    assert out.t_s <= back.t_s
