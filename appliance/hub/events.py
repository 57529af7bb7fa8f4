"""What the hub handles: events, verdicts and refusals as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from appliance.messages.topics import Address
from appliance.messages.verdict import VerdictBody


@dataclass(frozen=True)
class Event:
    """One event as it came. session, seq: order on its device."""

    key: str
    address: Address
    type: str
    session: str
    seq: int
    payload: bytes


@dataclass(frozen=True)
class ReceivedVerdict:
    """A verdict in the hub's store. repeats: how often it came again. raw: the message as it came."""

    site: str
    device: str
    received_at: datetime
    repeats: int
    body: VerdictBody
    raw: bytes


@dataclass(frozen=True)
class Refusal:
    """A message that was not taken, and why. key: None when not even that could be read."""

    topic: str
    key: str | None
    reason: str
    received_at: datetime
