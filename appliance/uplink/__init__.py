"""Device side: brings the outbox to the hub over MQTT. Start at `Sender`; `python -m appliance.uplink` is a process."""

from appliance.uplink.sender import Sender
from appliance.uplink.traffic import SenderStatus

__all__ = ["Sender", "SenderStatus"]
