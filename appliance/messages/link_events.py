"""What can happen on an MQTT connection."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Connected:
    """The broker took the connection. receive_maximum, maximum_packet: its limits (MQTT 5), None when not named."""

    session_present: bool
    receive_maximum: int | None
    maximum_packet: int | None


@dataclass(frozen=True)
class Refused:
    """The broker answered the connection with a refusal."""

    code: int
    text: str


@dataclass(frozen=True)
class Lost:
    """The connection is gone."""

    reason: str


@dataclass(frozen=True)
class Acked:
    """The broker answered a publish: 0x00 taken, 0x10 nobody subscribed, from 0x80 on refused (MQTT 5)."""

    mid: int
    code: int
    text: str


@dataclass(frozen=True)
class Subscribed:
    """The broker answered a subscription; a code from 0x80 on is a refusal."""

    codes: tuple[int, ...]


@dataclass(frozen=True)
class Arrived:
    """A message came."""

    topic: str
    payload: bytes
    mid: int
    qos: int
    retain: bool


LinkEvent = Connected | Refused | Lost | Acked | Subscribed | Arrived
