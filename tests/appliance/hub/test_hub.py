"""The hub takes each event once, from whom it says it is, and answers every copy."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from appliance.errors import JournalError
from appliance.hub import Hub, HubStore, ReceivedVerdict, hub_options, run_hub
from appliance.hub.events import Event
from appliance.hub.inbox import Cleared, DeviceWord, Refused, judge
from appliance.messages import Leaf, Topics
from appliance.messages.device import StateBody, state_message
from appliance.messages.receipt import ReceiptBody, receipt_message

from ..mosquitto_process import Mosquitto
from ..mqtt_spy import Spy
from ..slide_samples import NOW, Samples
from ..uplink.conftest import Eventually

TOPICS = Topics("lab", "twin-1")
BOTH = pytest.mark.parametrize("protocol", ["5", "3.1.1"])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HubStore]:
    with HubStore.open(tmp_path / "hub.sqlite") as opened:
        yield opened


def state(status: str = "online") -> bytes:
    body = StateBody(status=status, session="s", seq0=0, app_version="0", started_at=NOW)  # type: ignore[arg-type]
    return state_message(TOPICS, body, NOW).payload()


def event_of(samples: Samples, run: int = 1) -> Event:
    message = samples.message(samples.run(run))
    judged = judge(message.topic, message.payload)
    assert isinstance(judged, Event)
    return judged


def test_a_good_verdict_is_an_event(samples: Samples) -> None:
    message = samples.message(samples.run(), seq=9)
    judged = judge(message.topic, message.payload)
    assert isinstance(judged, Event)
    assert (judged.key, judged.seq, judged.session, judged.payload) == (message.key, 9, "session-1", message.payload)
    assert (judged.address.site, judged.address.device) == ("lab", "twin-1")


def test_state_and_health_are_words_of_the_device() -> None:
    assert isinstance(judge(TOPICS.of(Leaf.STATE), state()), DeviceWord)
    assert isinstance(judge(TOPICS.of(Leaf.STATE), b""), Cleared)


def test_who_speaks_on_the_topic_of_another_is_refused(samples: Samples) -> None:
    message = samples.message(samples.run())
    judged = judge(Topics("lab", "twin-2").of(Leaf.VERDICT), message.payload)
    assert isinstance(judged, Refused)
    assert judged.key == message.key
    assert "urn:cytoscan:lab:twin-1" in judged.reason
    assert isinstance(judge(Topics("lab", "twin-2").of(Leaf.STATE), state()), Refused)


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("other/lab/twin-1/evt/verdict", b"{}", "not of the form"),
        ("lab/lab/twin-1/evt/verdict", b"{}", "Not a verdict message"),
        ("lab/lab/twin-1/evt/verdict", b"", "Not a verdict message"),
        ("lab/lab/twin-1/evt/alarm", b"[]", "Not a alarm message"),
        ("lab/lab/twin-1/evt/qc", b"{}", "No message of this version"),
        ("lab/lab/twin-1/evt/unheard-of", b"{}", "No message of this version"),
    ],
)
def test_what_is_not_taken_has_a_reason(topic: str, payload: bytes, reason: str) -> None:
    judged = judge(topic, payload)
    assert isinstance(judged, Refused)
    assert reason in judged.reason


def test_a_receipt_is_not_for_the_hub() -> None:
    body = ReceiptBody(key="k", status="accepted", reason="", hub_time=NOW)
    judged = judge(TOPICS.of(Leaf.RECEIPT), receipt_message("lab", "twin-1", body, NOW).payload())
    assert isinstance(judged, Refused)


def test_the_store_takes_each_key_once(store: HubStore, samples: Samples) -> None:
    event = event_of(samples)
    assert [store.take(event, NOW) for _ in range(3)] == ["accepted", "duplicate", "duplicate"]
    other = Event(event.key, event.address, event.type, event.session, event.seq, event.payload + b" ")
    assert store.take(other, NOW) == "conflict"
    (verdict,) = store.list_verdicts()
    assert (verdict.repeats, verdict.raw, verdict.received_at) == (2, event.payload, NOW)
    assert store.verdict(event.key) == verdict
    assert store.verdict("unknown") is None


def test_the_store_survives_its_process(tmp_path: Path, samples: Samples) -> None:
    path = tmp_path / "hub.sqlite"
    with HubStore.open(path) as store:
        store.take(event_of(samples), NOW)
        store.note_device(event_of(samples).address, NOW, state=b"1")
        store.note_device(event_of(samples).address, NOW, health=b"2")
        store.refuse("t", "k", "because", NOW, b"x")
        store.refuse("t", "k", "because", NOW, b"x")
    with HubStore.open(path) as store:
        assert store.take(event_of(samples, 2), NOW) == "accepted"
        assert len(store.list_verdicts()) == 2
        assert (store.last_state("lab", "twin-1"), store.last_health("lab", "twin-1")) == (b"1", b"2")
        assert store.last_state("lab", "nobody") is None
        assert [(refusal.key, refusal.reason) for refusal in store.refusals()] == [("k", "because")]


def test_the_store_takes_no_foreign_file(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine(a)")
    connection.close()
    with pytest.raises(JournalError, match="no hub store"):
        HubStore.open(path)


@BOTH
def test_every_copy_gets_a_receipt(
    store: HubStore, mosquitto: Mosquitto, samples: Samples, eventually: Eventually, protocol: str
) -> None:
    seen: list[ReceivedVerdict] = []
    hub = Hub(store, hub_options("127.0.0.1", mosquitto.port, protocol), seen.append)
    hub.start()
    assert hub.wait_ready(15)
    message = samples.message(samples.run())
    other = message.payload.replace(b'"category":"AUS"', b'"category":"MAL"')
    broken = samples.message(samples.run(2)).payload.replace(b'"category":"AUS"', b'"category":7')
    with Spy(mosquitto.port) as spy:
        for payload in (message.payload, message.payload, other, broken, b"\xff"):
            spy.publish(message.topic, payload)
        eventually(lambda: len(spy.payloads("/rcpt")) == 4, "four receipts")
        receipts = [json.loads(payload)["data"] for payload in spy.payloads("/rcpt")]
    eventually(lambda: len(store.refusals()) == 3, "three refusals are kept")
    hub.stop()
    assert [receipt["status"] for receipt in receipts] == ["accepted", "duplicate", "rejected", "rejected"]
    assert [receipt["key"] == message.key for receipt in receipts] == [True, True, True, False]
    assert "another message" in receipts[2]["reason"]
    assert "data.category" in receipts[3]["reason"]
    assert datetime.fromisoformat(receipts[0]["hub_time"].replace("Z", "+00:00")).tzinfo == timezone.utc
    assert [verdict.body.category for verdict in seen] == ["AUS"]
    assert hub.problem == ""


@BOTH
def test_the_hub_keeps_the_last_state(
    store: HubStore, mosquitto: Mosquitto, eventually: Eventually, protocol: str
) -> None:
    with Spy(mosquitto.port) as spy:
        spy.client.publish(TOPICS.of(Leaf.STATE), state(), qos=1, retain=True).wait_for_publish(10)
        hub = Hub(store, hub_options("127.0.0.1", mosquitto.port, protocol))
        hub.start()
        eventually(lambda: store.last_state("lab", "twin-1"), "the retained state")
        spy.client.publish(TOPICS.of(Leaf.STATE), state("offline"), qos=1, retain=True).wait_for_publish(10)
        eventually(lambda: b'"offline"' in (store.last_state("lab", "twin-1") or b""), "the new state")
        spy.client.publish(TOPICS.of(Leaf.STATE), b"", qos=1, retain=True).wait_for_publish(10)
        eventually(lambda: store.last_state("lab", "twin-1") == b"", "taken out of service")
        hub.stop()
    assert store.refusals() == []


def test_the_command_runs_until_told_and_says_what_changes(
    tmp_path: Path, make_mosquitto: type[Mosquitto], samples: Samples, eventually: Eventually
) -> None:
    broker, stop = make_mosquitto(), threading.Event()
    seen: list[ReceivedVerdict] = []
    changes: list[str] = []
    path = tmp_path / "hub.sqlite"
    thread = threading.Thread(
        target=run_hub,
        args=("127.0.0.1", broker.port, "5", path, seen.append),
        kwargs={"stop": stop, "on_change": changes.append},
    )
    thread.start()
    eventually(lambda: changes, "the absent broker is told")
    assert "No connection" in changes[0]
    broker.start()
    eventually(lambda: changes[-1] == "", "listening again")
    with Spy(broker.port) as spy:
        message = samples.message(samples.run())
        spy.publish(message.topic, message.payload)
        eventually(lambda: seen, "the verdict")
    stop.set()
    thread.join(15)
    assert not thread.is_alive()
    with HubStore.open(path) as store:
        assert [verdict.body.key for verdict in store.list_verdicts()] == [message.key]
