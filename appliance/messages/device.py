"""What a device says of itself: state (retained, and as last will), health, alarms."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from appliance.messages.clock import ClockStatus
from appliance.messages.envelope import Body, Envelope, EventBody, Figure, UtcTime, source_urn
from appliance.messages.ids import new_uuid7
from appliance.messages.outgoing import OutboxMessage
from appliance.messages.topics import Leaf, Topics


class StateBody(Body):
    """Whether the device's sender is there.

    session: one run of the sender; a birth and its death carry the same. seq0: last message number before it began.
    engine, backend: what this device scores with, null when the sender was not told.
    """

    status: Literal["online", "offline"]
    session: str = Field(min_length=1)
    seq0: int = Field(ge=0)
    app_version: str
    engine: str | None = None
    backend: str | None = None
    started_at: UtcTime


class StateMessage(Envelope[StateBody]):
    """Retained on the state topic; the broker publishes the offline one when the sender dies."""

    type: Literal["org.cytoscan.device.state.v1"] = "org.cytoscan.device.state.v1"
    dataschema: str = Field(default="urn:cytoscan:schema:state:1.0", pattern=r"^urn:cytoscan:schema:state:1\.\d+$")


class OutboxBody(Body):
    """pending: messages without receipt. parked: waiting for a person. oldest_s: age of the oldest pending one."""

    pending: int = Field(ge=0)
    parked: int = Field(ge=0)
    oldest_s: float = Field(ge=0)


class TrafficBody(Body):
    """Since the sender started. hub_present: null until the first publish told."""

    connections: int = Field(ge=0)
    published: int = Field(ge=0)
    receipts: int = Field(ge=0)
    refused: int = Field(ge=0)
    hub_present: bool | None
    last_problem: str


class HealthBody(Body):
    """How the device fares, each half minute."""

    session: str = Field(min_length=1)
    uptime_s: float = Field(ge=0)
    load_1min: Figure
    memory_mb: float = Field(ge=0)
    disk_free_mb: float = Field(ge=0)
    clock: ClockStatus
    outbox: OutboxBody
    traffic: TrafficBody


class HealthMessage(Envelope[HealthBody]):
    """Published with QoS 0; a lost one is followed by the next."""

    type: Literal["org.cytoscan.device.health.v1"] = "org.cytoscan.device.health.v1"
    dataschema: str = Field(default="urn:cytoscan:schema:health:1.0", pattern=r"^urn:cytoscan:schema:health:1\.\d+$")


class AlarmBody(EventBody):
    """Something that a person must look at. code: stable word for machines. what, safe, remedy: for the person."""

    code: str = Field(min_length=1)
    what: str
    safe: str
    remedy: str


class AlarmMessage(Envelope[AlarmBody]):
    """An alarm on its way to the hub."""

    type: Literal["org.cytoscan.device.alarm.v1"] = "org.cytoscan.device.alarm.v1"
    dataschema: str = Field(default="urn:cytoscan:schema:alarm:1.0", pattern=r"^urn:cytoscan:schema:alarm:1\.\d+$")


def state_message(topics: Topics, body: StateBody, at: datetime) -> StateMessage:
    """A state in its envelope."""
    return StateMessage(
        id=str(new_uuid7()),
        source=source_urn(topics.site, topics.device),
        subject=f"device/{topics.device}",
        time=at,
        data=body,
    )


def health_message(topics: Topics, body: HealthBody, at: datetime) -> HealthMessage:
    """A health report in its envelope."""
    return HealthMessage(
        id=str(new_uuid7()),
        source=source_urn(topics.site, topics.device),
        subject=f"device/{topics.device}",
        time=at,
        data=body,
    )


def alarm_message(topics: Topics, body: AlarmBody, at: datetime) -> OutboxMessage:
    """An alarm, ready for the outbox."""
    message = AlarmMessage(
        id=str(new_uuid7()),
        source=source_urn(topics.site, topics.device),
        subject=f"device/{topics.device}/alarm/{body.code}",
        time=at,
        data=body,
    )
    return OutboxMessage(key=body.key, topic=topics.of(Leaf.ALARM), payload=message.payload())
