"""What a message on a topic is to the hub. Pure: bytes in, judgement out."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.hub.events import Event
from appliance.messages.device import AlarmMessage, HealthMessage, StateMessage
from appliance.messages.envelope import source_urn
from appliance.messages.topics import Address, parse
from appliance.messages.verdict import VerdictMessage
from appliance.messages.wire import BadMessage, Message, read


@dataclass(frozen=True)
class Refused:
    """Not to be taken. address, key: whom to tell about what, None when that could not be read."""

    address: Address | None
    key: str | None
    reason: str


@dataclass(frozen=True)
class DeviceWord:
    """A device's last state or health."""

    address: Address
    message: StateMessage | HealthMessage


@dataclass(frozen=True)
class Cleared:
    """An empty retained state: the device was taken out of service."""

    address: Address


Judged = Event | DeviceWord | Cleared | Refused


def judge(topic: str, payload: bytes) -> Judged:
    """Check a message against its schema, and its sender against its topic."""
    address = parse(topic)
    if address is None:
        return Refused(None, None, "the topic is not of the form lab/<site>/<device>/<leaf>")
    if not payload and address.leaf is not None and address.leaf.value == "state":
        return Cleared(address)
    try:
        message = read(address.leaf, payload)
    except BadMessage as error:
        return Refused(address, error.key, error.what)
    return _addressed(address, message, payload)


def _addressed(address: Address, message: Message, payload: bytes) -> Judged:
    if isinstance(message, StateMessage | HealthMessage):
        key = None
    elif isinstance(message, VerdictMessage | AlarmMessage):
        key = message.data.key
    else:
        return Refused(address, None, "a receipt is not for the hub")
    if message.source != source_urn(address.site, address.device):
        return Refused(address, key, f"it says that it comes from {message.source}, but its topic is another's")
    if isinstance(message, StateMessage | HealthMessage):
        return DeviceWord(address, message)
    body = message.data
    return Event(body.key, address, message.type, body.session, body.seq, payload)
