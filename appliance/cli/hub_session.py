"""A broker and the reference hub beside a command, for as long as it runs: no server to install."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import appliance
from appliance.errors import ApplianceError
from appliance.hub.broker import EmbeddedBroker
from appliance.hub.events import ReceivedVerdict
from appliance.hub.hub import Hub, hub_options
from appliance.hub.store import HubStore
from appliance.messages.topics import Topics
from appliance.settings import Settings, UplinkSection
from appliance.uplink.sender import Sender

HUB_PROTOCOL: Literal["3.1.1"] = "3.1.1"
HUB_READY_S = 15.0


@dataclass(frozen=True)
class LocalHub:
    """A hub that listens on the loopback address. uplink: settings with which a device reaches it."""

    uplink: UplinkSection
    store: HubStore


@contextmanager
def local_hub(store: Path, on_verdict: Callable[[ReceivedVerdict], None] | None = None) -> Iterator[LocalHub]:
    """Embedded broker and reference hub, both in this process. on_verdict: called for each new verdict."""
    store.parent.mkdir(parents=True, exist_ok=True)
    with EmbeddedBroker() as broker, HubStore.open(store) as opened:
        hub = Hub(opened, hub_options(broker.host, broker.port, HUB_PROTOCOL), on_verdict)
        hub.start()
        try:
            if not hub.wait_ready(HUB_READY_S):
                raise ApplianceError(
                    f"The hub beside this command does not listen ({hub.problem or 'no answer'}).",
                    remedy="Name a broker of your own in uplink.host and uplink.port.",
                )
            yield LocalHub(UplinkSection(host=broker.host, port=broker.port, protocol=HUB_PROTOCOL), opened)
        finally:
            hub.stop()


@contextmanager
def sender(settings: Settings, engine: str) -> Iterator[Sender | None]:
    """The outbox's sender for the length of a block; None when the settings switch the uplink off.

    engine: what this device scores with, for its state message.
    """
    if not settings.uplink.enabled:
        yield None
        return
    settings.journal.path.parent.mkdir(parents=True, exist_ok=True)
    running = Sender(
        Topics(settings.site, settings.device),
        settings.uplink,
        settings.journal.path,
        app_version=appliance.__version__,
        engine=engine,
    )
    running.start()
    try:
        yield running
    finally:
        running.stop()
