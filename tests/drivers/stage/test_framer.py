"""Frames come out the same however the bytes arrive."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from drivers.stage.framer import LineFramer

LINES = st.lists(st.from_regex(rb"[@!#][ \"$-?A-~]{1,30}", fullmatch=True), max_size=6)


@given(LINES, st.data())
def test_any_cutting_gives_the_same_frames(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\r\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    framer = LineFramer(b"@!#")
    frames = []
    for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        frames += framer.feed(stream[a:b])
    assert frames == lines
    assert framer.bad_bytes == 0


def test_byte_by_byte_and_two_in_one_read() -> None:
    stream = b"@01 0 OK IDLE -- 0\r\n@02 0 OK IDLE -- 0\r\n"
    slow = LineFramer(b"@")
    assert [f for byte in stream for f in slow.feed(bytes([byte]))] == LineFramer(b"@").feed(stream)


@given(st.binary(max_size=200))
def test_a_good_line_survives_garbage_before_it(garbage: bytes) -> None:
    framer = LineFramer(b"@")
    assert framer.feed(garbage + b"@01 0 OK IDLE -- 0\r\n")[-1] == b"@01 0 OK IDLE -- 0"


def test_a_start_inside_a_line_drops_the_torn_beginning() -> None:
    framer = LineFramer(b"@")
    assert framer.feed(b"@01 0 OK ID@02 0 OK IDLE -- 0\n") == [b"@02 0 OK IDLE -- 0"]
    assert framer.bad_bytes == len(b"@01 0 OK ID")


def test_a_line_that_never_ends_takes_no_memory() -> None:
    framer = LineFramer(b"@", longest=64)
    assert framer.feed(b"@" + b"x" * 10_000 + b"\n@ok\n") == [b"@ok"]
    assert framer.bad_bytes == 10_001


def test_reset_forgets_and_counts() -> None:
    framer = LineFramer(b"@")
    framer.feed(b"@01 0")
    framer.reset()
    assert framer.feed(b" OK\n@new\n") == [b"@new"]
    assert framer.bad_bytes == len(b"@01 0 OK")
