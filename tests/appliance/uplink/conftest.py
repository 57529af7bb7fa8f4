"""A device's side and a hub's side, on whichever broker a test has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.hub import Hub, HubStore, hub_options
from appliance.journal import Journal, Outbox
from appliance.messages import Topics
from appliance.settings.model import UplinkSection
from appliance.uplink import Sender


class Site:
    """One device with its journal, and one hub with its store; senders and hubs end with the test."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.sqlite"
        self.journal = Journal.open(self.path)
        self.outbox = Outbox.open(self.path)
        self.store = HubStore.open(folder / "hub.sqlite")
        self.senders: list[Sender] = []
        self.hubs: list[Hub] = []

    def uplink(self, port: int, protocol: str, **changes: object) -> UplinkSection:
        values = {"host": "127.0.0.1", "port": port, "protocol": protocol, "receipt_timeout_s": 30.0, **changes}
        return UplinkSection.model_validate(values)

    def sender(self, port: int, protocol: str, *, health_every_s: float = 30.0, **changes: object) -> Sender:
        """A started sender, impatient about receipts only when told so."""
        sender = Sender(
            Topics("lab", "twin-1"),
            self.uplink(port, protocol, **changes),
            self.path,
            app_version="0.1.0",
            engine="serous-1.0.0",
            backend="onnxruntime CPU",
            health_every_s=health_every_s,
            connack_timeout_s=1.0,
            draw=lambda: 0.0,
        )
        sender.start()
        self.senders.append(sender)
        return sender

    def hub(self, port: int, protocol: str) -> Hub:
        """A started hub that listens."""
        hub = Hub(self.store, hub_options("127.0.0.1", port, protocol))
        hub.start()
        self.hubs.append(hub)
        assert hub.wait_ready(15), hub.problem
        return hub

    def keys(self) -> list[str]:
        """Keys of the verdicts at the hub."""
        return [verdict.body.key for verdict in self.store.list_verdicts()]

    def close(self) -> None:
        for sender in self.senders:
            sender.stop()
            assert not sender.status().alive
        for hub in self.hubs:
            hub.stop()
            assert not hub.alive
        self.store.close()
        self.outbox.close()
        self.journal.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A device and a hub."""
    made = Site(tmp_path)
    yield made
    made.close()


Eventually = Callable[..., None]
