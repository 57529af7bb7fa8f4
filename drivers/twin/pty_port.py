"""A pseudo-terminal that looks like the controller's serial port, with a line that can be made to misbehave."""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import itertools
import math
import os
import random
import select
import termios
import threading
import tty
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

_CHUNK = 4096
_HOUSEKEEPING_S = 0.25
_TIOCGEXCL = 0x80045440  # not named in the termios module; see ioctl_tty(2)


class LineFault(str, Enum):
    """What can go wrong with one command or its replies."""

    DROP_COMMAND = "drop_command"
    DROP_REPLY = "drop_reply"
    DELAY_REPLY = "delay_reply"
    FLIP_BIT = "flip_bit"
    BAD_CHECKSUM = "bad_checksum"
    DUPLICATE = "duplicate"
    GARBAGE = "garbage"
    SPLIT = "split"
    MERGE = "merge"


class LineSettings(BaseModel):
    """The quality of the line: chances per command, and its speed.

    wire_time: let bytes take the time that they take at `baud`. delay_s: how long a delayed reply is late.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 1
    drop: float = Field(default=0.0, ge=0, le=1)
    delay: float = Field(default=0.0, ge=0, le=1)
    flip: float = Field(default=0.0, ge=0, le=1)
    garbage: float = Field(default=0.0, ge=0, le=1)
    delay_s: float = Field(default=0.5, ge=0, le=10)
    wire_time: bool = False
    baud: int = Field(default=115_200, ge=1_200)


class Listener(Protocol):
    """Whoever is behind the port."""

    def hear(self, line: bytes) -> list[bytes]:
        """Replies to one line."""

    def tick(self) -> list[bytes]:
        """What is to be said unasked now."""

    def next_event_s(self) -> float:
        """When to tick next, in clock time."""


@dataclass
class _Planned:
    fault: LineFault
    match: bytes
    left: int


class _Line:
    """What is waiting to be sent, ordered by time. Thread-safe."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, bytes]] = []
        self._order = itertools.count()
        self._lock = threading.Lock()

    def put(self, at_s: float, data: bytes) -> None:
        with self._lock:
            heapq.heappush(self._waiting, (at_s, next(self._order), data))

    def next_s(self) -> float:
        with self._lock:
            return self._waiting[0][0] if self._waiting else math.inf

    def take(self, now_s: float) -> bytes | None:
        with self._lock:
            return heapq.heappop(self._waiting)[2] if self._waiting and self._waiting[0][0] <= now_s else None


class PtyPort:
    """Serves a listener on a pseudo-terminal, reachable under a stable name. Runs in a thread of its own."""

    def __init__(self, listener: Listener, link: Path, settings: LineSettings, clock: Callable[[], float]) -> None:
        """Open the terminal and point `link` at it; the port answers as soon as this returns."""
        self.link = link
        self._listener = listener
        self._settings = settings
        self._clock = clock
        self._random = random.Random(settings.seed)  # noqa: S311 (which replies suffer, no secret)
        self._lock = threading.Lock()
        self._planned: list[_Planned] = []
        self._line = _Line()
        self._wake_read, self._wake_write = os.pipe()
        self._thread: threading.Thread | None = None
        self.plug()

    def plug(self) -> None:
        """Connect: a new terminal under the same name."""
        self._master, self._slave = os.openpty()
        # A cooked terminal would echo the controller's first words back to it.
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._relink(os.ttyname(self._slave))
        self._running = True
        self._thread = threading.Thread(target=self._run, name="twin-port", daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        """Pull the cable: the far side sees the device vanish. The name stays, pointing nowhere."""
        if self._thread is None:
            return
        self._running = False
        os.write(self._wake_write, b"w")
        self._thread.join()
        self._thread = None
        os.close(self._master)
        os.close(self._slave)

    def close(self) -> None:
        """Unplug and take the name away."""
        self.unplug()
        self.link.unlink(missing_ok=True)

    def plan(self, fault: LineFault, *, match: bytes = b"", times: int = 1) -> None:
        """Let `fault` happen to the next `times` commands that contain `match`."""
        with self._lock:
            self._planned.append(_Planned(fault, match, times))

    def say(self, data: bytes) -> None:
        """Send bytes unasked, as a controller that boots does."""
        self._line.put(self._clock(), data)
        os.write(self._wake_write, b"w")

    def _relink(self, target: str) -> None:
        self.link.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.link.with_name(self.link.name + ".new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.replace(self.link)

    def _run(self) -> None:
        pending = b""
        while self._running:
            ready, _, _ = select.select([self._master, self._wake_read], [], [], self._idle_s())
            if self._wake_read in ready:
                os.read(self._wake_read, _CHUNK)
            if self._master in ready:
                *lines, pending = (pending + self._read()).replace(b"\r", b"\n").split(b"\n")
                for line in filter(None, lines):
                    self._serve(line)
            self._send(self._clock(), self._listener.tick())
            self._flush()
            if not ready:
                self._free_abandoned_lock()

    def _idle_s(self) -> float:
        due = min(self._listener.next_event_s(), self._line.next_s())
        return min(max(0.0, due - self._clock()), _HOUSEKEEPING_S)

    def _read(self) -> bytes:
        try:
            return os.read(self._master, _CHUNK)
        except BlockingIOError:
            return b""

    def _serve(self, line: bytes) -> None:
        faults = self._faults(line)
        if LineFault.DROP_COMMAND in faults:
            return
        replies = self._listener.hear(line)
        if LineFault.DROP_REPLY in faults:
            return
        wire_s = 10 * (len(line) + 1) / self._settings.baud if self._settings.wire_time else 0.0
        late_s = self._settings.delay_s if LineFault.DELAY_REPLY in faults else 0.0
        self._send(self._clock() + wire_s + late_s, [self._damage(reply, faults) for reply in replies], faults)

    def _faults(self, line: bytes) -> set[LineFault]:
        found = set()
        with self._lock:
            for planned in self._planned:
                if planned.left > 0 and planned.match in line:
                    planned.left -= 1
                    found.add(planned.fault)
            self._planned = [planned for planned in self._planned if planned.left > 0]
        s = self._settings
        chances = {
            LineFault.DROP_REPLY: s.drop,
            LineFault.DELAY_REPLY: s.delay,
            LineFault.FLIP_BIT: s.flip,
            LineFault.GARBAGE: s.garbage,
        }
        return found | {fault for fault, chance in chances.items() if chance and self._random.random() < chance}

    def _damage(self, reply: bytes, faults: set[LineFault]) -> bytes:
        if LineFault.BAD_CHECKSUM in faults and reply[-5:-4] == b":":
            reply = reply[:-4] + b"%02X" % (int(reply[-4:-2], 16) ^ 0xFF) + reply[-2:]
        if LineFault.FLIP_BIT in faults:
            place = self._random.randrange(len(reply) - 2)
            reply = reply[:place] + bytes([reply[place] ^ 1 << self._random.randrange(7)]) + reply[place + 1 :]
        if LineFault.GARBAGE in faults:
            reply = self._random.randbytes(12).replace(b"@", b"#") + reply
        if LineFault.DUPLICATE in faults:
            reply += reply
        return reply

    def _send(self, at_s: float, replies: list[bytes], faults: set[LineFault] | None = None) -> None:
        faults = faults or set()
        if LineFault.MERGE in faults:
            replies = [b"".join([b"@99 9 99 OK IDLE -- 0\r\n", *replies])]
        for reply in replies:
            pieces = [bytes([byte]) for byte in reply] if LineFault.SPLIT in faults else [reply]
            for piece in pieces:
                if self._settings.wire_time:
                    at_s += 10 * len(piece) / self._settings.baud
                elif len(pieces) > 1:
                    at_s += 2e-4
                self._line.put(at_s, piece)

    def _flush(self) -> None:
        while (data := self._line.take(self._clock())) is not None:
            # When nobody reads, a real line loses the bytes too.
            with contextlib.suppress(BlockingIOError):
                os.write(self._master, data)

    def _free_abandoned_lock(self) -> None:
        """Undo the exclusive mark of a client that was killed.

        A real port forgets it on the last close, but this terminal is never closed as long as we hold its far end. The
        client also holds a file lock, which the kernel does take back: when that is free, nobody is there.
        """
        marked = bytearray(4)
        fcntl.ioctl(self._slave, _TIOCGEXCL, marked)
        if any(marked):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._slave, fcntl.LOCK_EX | fcntl.LOCK_NB)
                fcntl.ioctl(self._slave, termios.TIOCNXCL)
                fcntl.flock(self._slave, fcntl.LOCK_UN)
