"""Bytes to meaning and back, against transcripts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.stage.dialect import Address, Alert, Garbage, Intent, Reply, Verb, load_dialect
from drivers.stage.zaber import ZaberDialect, lrc

DIALECT = ZaberDialect()


@pytest.mark.parametrize(
    ("body", "code"),
    # Lines that the maker's own client sends.
    [(b"1 0 05", 0xFA), (b"0 0 set comm.alert 1", 0xB1), (b"0 0 00", 0x00)],
)
def test_checksum_agrees_with_the_makers_client(body: bytes, code: int) -> None:
    assert lrc(body) == code
    assert (sum(body) + lrc(body)) % 256 == 0


@pytest.mark.parametrize(
    ("intent", "words"),
    [
        (Intent(Verb.MOVE_TO, Address(1, 2), 3616), b"/1 2 07 move abs 3616:"),
        (Intent(Verb.MOVE_BY, Address(2, 1), -5), b"/2 1 07 move rel -5:"),
        (Intent(Verb.HOME, Address(2, 1)), b"/2 1 07 home:"),
        (Intent(Verb.STOP, Address(1)), b"/1 0 07 stop:"),
        (Intent(Verb.STATUS, Address(1, 1)), b"/1 1 07 get pos:"),
        (Intent(Verb.FLAGS, Address(1, 1)), b"/1 1 07 warnings:"),
        (Intent(Verb.PREPARE, Address(1)), b"/1 0 07 set comm.checksum 1:"),
    ],
)
def test_intents_become_commands(intent: Intent, words: bytes) -> None:
    data = DIALECT.encode(intent, 7).data
    assert data == words + b"%02X\n" % lrc(words[1:-1])


@pytest.mark.parametrize("verb", list(Verb))
def test_only_relative_moves_and_homing_are_not_repeatable(verb: Verb) -> None:
    assert DIALECT.encode(Intent(verb, Address(1, 1)), 1).idempotent is (verb not in (Verb.MOVE_BY, Verb.HOME))


def test_golden_replies() -> None:
    assert DIALECT.decode(b"@01 1 05 OK BUSY WR 0") == Reply(Address(1, 1), 5, True, True, "WR", "0", checked=False)
    assert DIALECT.decode(b"@02 0 RJ IDLE -- BADCOMMAND") == Reply(
        Address(2, 0), None, False, False, "", "BADCOMMAND", checked=False
    )
    assert DIALECT.decode(b"@01 0 09 OK IDLE -- 12 -7 NA:9E") == Reply(
        Address(1, 0), 9, True, False, "", "12 -7 NA", checked=True
    )
    assert DIALECT.decode(b"!02 1 IDLE FS") == Alert(Address(2, 1), False, "FS")


@pytest.mark.parametrize(
    "frame",
    [
        b"@01 1 05 OK BUSY WR 0:00",
        b"@1 1 05 OK BUSY WR 0",
        b"#01 0 help",
        b"@01 1 05 OK",
        b"\xff@",
        b"@01 0 9 OK IDLE -- 0",
    ],
)
def test_what_cannot_be_trusted_is_garbage(frame: bytes) -> None:
    assert isinstance(DIALECT.decode(frame), Garbage)


@given(
    device=st.integers(0, 99),
    axis=st.integers(0, 9),
    tag=st.none() | st.integers(0, 99),
    accepted=st.booleans(),
    busy=st.booleans(),
    flag=st.sampled_from(["", "FS", "WR", "NI"]),
    data=st.from_regex(r"[A-Za-z0-9.-]{1,8}( [A-Za-z0-9.-]{1,8}){0,3}", fullmatch=True),
)
def test_replies_round_trip(
    *, device: int, axis: int, tag: int | None, accepted: bool, busy: bool, flag: str, data: str
) -> None:
    words = [f"{device:02d}", str(axis)]
    words += [] if tag is None else [f"{tag:02d}"]
    words += ["OK" if accepted else "RJ", "BUSY" if busy else "IDLE", flag or "--", data]
    body = " ".join(words).encode()
    expected = Reply(Address(device, axis), tag, accepted, busy, flag, data, checked=True)
    assert DIALECT.decode(b"@" + body + b":%02X" % lrc(body)) == expected


@given(place=st.integers(0, 200), bit=st.integers(0, 7))
def test_no_single_flipped_bit_passes_as_a_checked_reply(place: int, bit: int) -> None:
    body = b"01 1 05 OK IDLE -- 3616"
    line = b"@" + body + b":%02X" % lrc(body)
    place %= len(line)
    hurt = line[:place] + bytes([line[place] ^ 1 << bit]) + line[place + 1 :]
    frames = DIALECT.framer().feed(hurt + b"\r\n")
    meanings = [DIALECT.decode(frame) for frame in frames]
    assert not any(isinstance(m, Reply) and m.checked for m in meanings)


def test_flags_and_faults() -> None:
    listing = DIALECT.decode(b"@01 1 05 OK IDLE FS 03 FS WR NI")
    assert isinstance(listing, Reply)
    flags = DIALECT.flags(listing)
    assert flags == ("FS", "WR", "NI")
    assert not DIALECT.homed(flags)
    assert DIALECT.homed(("NI",))
    for flag in ("FS", "FH", "FE", "WL", "WM", "WR", "FX"):
        fault = DIALECT.fault(flag)
        assert fault is not None
        assert fault.needs_home, flag
    for flag in ("NI", "NC"):
        fault = DIALECT.fault(flag)
        assert fault is not None
        assert not fault.needs_home, flag
    for flag in ("", "NU", "WT", "NR"):
        assert DIALECT.fault(flag) is None


def test_rejections_have_words() -> None:
    again = DIALECT.decode(b"@01 1 05 RJ BUSY -- AGAIN")
    parked = DIALECT.decode(b"@01 1 05 RJ IDLE -- PARKED")
    assert isinstance(again, Reply)
    assert isinstance(parked, Reply)
    assert DIALECT.try_again(again)
    assert not DIALECT.try_again(parked)
    assert "parked" in DIALECT.rejection(parked).text


def test_motion_units() -> None:
    def reply(data: str) -> Reply:
        return Reply(Address(1, 1), 1, True, False, "", data, checked=True)

    speed, acceleration = DIALECT.motion(reply("262144"), reply("524"))
    assert speed == pytest.approx(160_000)  # 25 mm/s in steps of 0.15625 µm
    assert acceleration == pytest.approx(3.2e6, rel=1e-3)  # 500 mm/s²


def test_the_dialect_is_found_by_name() -> None:
    assert isinstance(load_dialect("zaber"), ZaberDialect)
