"""The embedded broker carries a verdict from device to hub."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from appliance.errors import ApplianceError
from appliance.hub import EmbeddedBroker

from ..slide_samples import Samples
from ..uplink.conftest import Eventually, Site


def test_verdicts_travel_over_the_embedded_broker(tmp_path: Path, samples: Samples, eventually: Eventually) -> None:
    site = Site(tmp_path)
    with EmbeddedBroker() as broker:
        site.hub(broker.port, "3.1.1")
        sender = site.sender(broker.port, "3.1.1")
        keys = []
        for number in range(1, 6):
            keys.append(samples.finished(site.journal, number).key)
            delivery = sender.wait_for_receipt(keys[-1], 15)
            assert delivery is not None
            assert delivery.receipt == "accepted"
        eventually(lambda: b'"online"' in (site.store.last_state("lab", "twin-1") or b""), "the state at the hub")
        assert site.keys() == keys
        site.close()


def test_a_hub_that_comes_late_gets_the_verdict(tmp_path: Path, samples: Samples, eventually: Eventually) -> None:
    """The embedded broker keeps nothing: the outbox does."""
    site = Site(tmp_path)
    with EmbeddedBroker() as broker:
        message = samples.finished(site.journal, 1)
        sender = site.sender(broker.port, "3.1.1", receipt_timeout_s=0.3)
        eventually(lambda: site.outbox.delivery(message.key).attempts >= 2, "it is tried again")  # type: ignore[union-attr]
        site.hub(broker.port, "3.1.1")
        assert sender.wait_for_receipt(message.key, 15).receipt in ("accepted", "duplicate")  # type: ignore[union-attr]
        assert site.keys() == [message.key]
        site.close()


def test_it_starts_and_ends_without_leaving_threads() -> None:
    before = threading.active_count()
    for _ in range(3):
        broker = EmbeddedBroker()
        broker.start()
        with socket.create_connection(("127.0.0.1", broker.port), timeout=5):
            pass
        broker.stop()
        broker.stop()
    assert threading.active_count() == before


def test_two_brokers_do_not_share_a_port() -> None:
    with EmbeddedBroker() as one, EmbeddedBroker() as two:
        assert one.port != two.port


def test_a_port_may_be_asked_for() -> None:
    with EmbeddedBroker() as one:
        port = one.port
        with pytest.raises(ApplianceError, match="does not start"):
            EmbeddedBroker(port).start()
    with EmbeddedBroker(port) as again:
        assert again.port == port
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass


def test_a_broker_that_cannot_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr("appliance.hub.broker._free_port", lambda: taken.getsockname()[1])
        with pytest.raises(ApplianceError, match="does not start"):
            EmbeddedBroker().start()
