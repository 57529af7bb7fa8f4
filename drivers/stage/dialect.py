"""What a controller language must offer: bytes to meaning and back, for one maker's protocol.

A dialect is pure: no I/O, no clock, no memory of what was said. It is found by name in the entry point group
`cytoscan.stage_dialects`, so a maker's private package can add one without touching this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from importlib.metadata import entry_points
from typing import Protocol, cast

from drivers.errors import WrongController
from drivers.stage.framer import Framer

ENTRY_POINTS = "cytoscan.stage_dialects"


class Verb(Enum):
    """What the stage may want from a controller."""

    PREPARE = "switch on what makes the link trustworthy"
    DEVICE_ID = "hardware id of a device"
    SERIAL = "serial number of a device"
    VERSION = "firmware of a device"
    AXIS_COUNT = "number of axes of a device"
    LIMIT_MIN = "lower limit of an axis, in counts"
    LIMIT_MAX = "upper limit of an axis, in counts"
    SPEED = "speed of an axis, in controller units"
    ACCELERATION = "acceleration of an axis, in controller units"
    STATUS = "position in counts, with busy and flag"
    FLAGS = "all flags of an axis"
    CLEAR_FLAGS = "clear the flags that can be cleared"
    HOME = "find the reference"
    MOVE_TO = "move to a count"
    MOVE_BY = "move by counts"
    STOP = "brake to a stand"


@dataclass(frozen=True)
class Address:
    """Device on the chain, and axis of that device; axis 0 is the whole device."""

    device: int
    axis: int = 0


@dataclass(frozen=True)
class Intent:
    """One thing to ask for. `value`: counts, for moves."""

    verb: Verb
    address: Address
    value: int = 0


@dataclass(frozen=True)
class Request:
    """Bytes to send.

    idempotent: sending it twice does what sending it once does, so it may be repeated after a lost answer.
    unchecked_reply: the answer may come without a checksum (only while checksums are being switched on).
    """

    data: bytes
    idempotent: bool
    unchecked_reply: bool = False


@dataclass(frozen=True)
class Reply:
    """An answer. flag: the most important flag, or empty. data: the rest, as text. tag: echo of the request's tag."""

    address: Address
    tag: int | None
    accepted: bool
    busy: bool
    flag: str
    data: str
    checked: bool


@dataclass(frozen=True)
class Alert:
    """Something the controller said unasked."""

    address: Address
    busy: bool
    flag: str


@dataclass(frozen=True)
class Garbage:
    """A frame that cannot be trusted, and why."""

    frame: bytes
    reason: str


@dataclass(frozen=True)
class Fault:
    """A flag or a rejection, in words. needs_home: the position is not to be trusted any more."""

    code: str
    text: str
    needs_home: bool


@dataclass(frozen=True)
class Capabilities:
    """What this protocol can do; the stage makes up for what it cannot.

    tags: how many different request tags replies echo; 0 when answers are matched by order.
    """

    checksum: bool
    tags: int
    reports_homed: bool
    reports_limits: bool


class Dialect(Protocol):
    """One controller language."""

    name: str
    capabilities: Capabilities

    def framer(self) -> Framer:
        """A fresh framer for this protocol."""

    def encode(self, intent: Intent, tag: int) -> Request:
        """The bytes that ask for `intent`."""

    def decode(self, frame: bytes) -> Reply | Alert | Garbage:
        """What a frame means."""

    def try_again(self, reply: Reply) -> bool:
        """Whether the controller refused only because it was not ready at this instant."""

    def rejection(self, reply: Reply) -> Fault:
        """Why the controller refused."""

    def fault(self, flag: str) -> Fault | None:
        """What a flag means for a move; None when it does not matter."""

    def homed(self, flags: tuple[str, ...]) -> bool:
        """Whether an axis with these flags knows where it is."""

    def flags(self, reply: Reply) -> tuple[str, ...]:
        """The flags listed in the answer to FLAGS."""

    def motion(self, speed: Reply, acceleration: Reply) -> tuple[float, float]:
        """Speed in counts/s and acceleration in counts/s², from the answers to SPEED and ACCELERATION."""


def load_dialect(name: str) -> Dialect:
    """The dialect registered under `name`.

    Raises:
        WrongController: no such dialect is installed.
    """
    found = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name not in found:
        raise WrongController(
            f"No stage dialect '{name}' is installed.",
            safe="Nothing was sent to the stage.",
            remedy=f"Set stage.dialect to one of: {', '.join(sorted(found)) or 'none installed'}.",
        )
    return cast("Dialect", found[name].load()())
