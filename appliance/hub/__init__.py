"""Hub side: the reference receiver.

Start at `run_hub`; `Hub` receives, `HubStore` keeps, `EmbeddedBroker` is for demos.
"""

from appliance.hub.broker import EmbeddedBroker
from appliance.hub.events import ReceivedVerdict, Refusal
from appliance.hub.hub import Hub, hub_options
from appliance.hub.run import run_hub
from appliance.hub.store import HubStore

__all__ = ["EmbeddedBroker", "Hub", "HubStore", "ReceivedVerdict", "Refusal", "hub_options", "run_hub"]
