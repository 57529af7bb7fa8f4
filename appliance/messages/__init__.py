"""What device and hub agree on: topics, envelope, schemas (asyncapi.yaml), and how to hold an MQTT connection.

Start at `topics` and `envelope`; `verdict`, `device` and `receipt` are the messages, `wire` reads them.
"""

from appliance.messages.clock import ClockStatus, read_clock
from appliance.messages.outgoing import OutboxMessage
from appliance.messages.topics import Leaf, Topics
from appliance.messages.verdict import Origin, VerdictMessage, verdict_message
from appliance.messages.wire import BadMessage, read

__all__ = [
    "BadMessage",
    "ClockStatus",
    "Leaf",
    "Origin",
    "OutboxMessage",
    "Topics",
    "VerdictMessage",
    "read",
    "read_clock",
    "verdict_message",
]
