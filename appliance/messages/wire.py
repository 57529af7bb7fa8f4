"""From bytes to a checked message: what is read is one of the known types, whole and well-formed."""

from __future__ import annotations

import json

from pydantic import ValidationError

from appliance.errors import ApplianceError
from appliance.messages.device import AlarmMessage, HealthMessage, StateMessage
from appliance.messages.receipt import ReceiptMessage
from appliance.messages.topics import Leaf
from appliance.messages.verdict import VerdictMessage

LARGEST_BYTES = 1 << 20

Message = VerdictMessage | AlarmMessage | StateMessage | HealthMessage | ReceiptMessage
MESSAGES: dict[str, type[VerdictMessage | AlarmMessage | StateMessage | HealthMessage | ReceiptMessage]] = {
    "verdict": VerdictMessage,
    "alarm": AlarmMessage,
    "state": StateMessage,
    "health": HealthMessage,
    "receipt": ReceiptMessage,
}
_BY_LEAF: dict[Leaf, str] = {
    Leaf.VERDICT: "verdict",
    Leaf.ALARM: "alarm",
    Leaf.STATE: "state",
    Leaf.HEALTH: "health",
    Leaf.RECEIPT: "receipt",
}


class BadMessage(ApplianceError):
    """A message does not keep to its schema. key: its idempotency key when that much could be read."""

    def __init__(self, what: str, *, key: str | None = None) -> None:
        super().__init__(
            what, safe="The message was not taken.", remedy="Check the version of the program that sent it."
        )
        self.key = key


def read(leaf: Leaf | None, payload: bytes) -> Message:
    """The message on a topic with this leaf. Raises BadMessage."""
    name = None if leaf is None else _BY_LEAF.get(leaf)
    if name is None:
        raise BadMessage("No message of this version belongs on this topic.", key=_key_of(payload))
    if len(payload) > LARGEST_BYTES:
        raise BadMessage(f"The message has {len(payload)} bytes; {LARGEST_BYTES} are the most that is read.")
    try:
        return MESSAGES[name].model_validate_json(payload)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise BadMessage(f"Not a {name} message: {place}: {first['msg']}.", key=_key_of(payload)) from error


def _key_of(payload: bytes) -> str | None:
    """The idempotency key of a message that is otherwise wrong, so that its sender can be told."""
    if len(payload) > LARGEST_BYTES:
        return None
    try:
        data = json.loads(payload)["data"]
        key = data["key"]
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    return key if isinstance(key, str) and 0 < len(key) <= 300 else None
