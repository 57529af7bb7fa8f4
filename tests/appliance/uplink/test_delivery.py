"""A verdict reaches the hub once in effect, whatever happens on the way. Against real mosquitto."""

from __future__ import annotations

import json
import time
from collections import Counter

import jsonschema
import pytest

from appliance.errors import JournalError
from appliance.messages import Leaf, OutboxMessage, Topics
from appliance.messages.schema_files import FOLDER
from appliance.uplink import Sender

from ..mosquitto_process import Mosquitto
from ..mqtt_spy import Spy
from ..slide_samples import Samples
from .conftest import Eventually, Site

BOTH = pytest.mark.parametrize("protocol", ["5", "3.1.1"])
TOPICS = Topics("lab", "twin-1")


@BOTH
def test_a_verdict_leaves_on_the_receipt_and_every_message_keeps_its_schema(
    site: Site, mosquitto: Mosquitto, samples: Samples, eventually: Eventually, protocol: str
) -> None:
    with Spy(mosquitto.port) as spy:
        site.hub(mosquitto.port, protocol)
        sender = site.sender(mosquitto.port, protocol, health_every_s=0.05)
        message = samples.finished(site.journal, 1)
        delivery = sender.wait_for_receipt(message.key, 15)
        assert delivery is not None
        assert (delivery.receipt, delivery.attempts, delivery.parked) == ("accepted", 1, False)
        site.journal.post(OutboxMessage("bad", TOPICS.of(Leaf.VERDICT), b'{"data": {"key": "bad"}}'))
        assert sender.wait_for_receipt("bad", 15).receipt == "rejected"  # type: ignore[union-attr]
        eventually(lambda: spy.payloads("evt/alarm"), "the alarm about the rejected message")
        eventually(lambda: len(spy.payloads("/health")) >= 2, "two health messages")
        eventually(lambda: site.outbox.pending_count() == 0, "every receipt is in")
        sender.stop()
        eventually(lambda: len(spy.payloads("/state")) >= 2, "online and offline")
        seen = list(spy.seen)
    names = {"evt/verdict": "verdict", "evt/alarm": "alarm", "state": "state", "health": "health", "rcpt": "receipt"}
    checked = Counter[str]()
    for topic, payload, _ in seen:
        name = names[topic.removeprefix("lab/lab/twin-1/")]
        if payload == b'{"data": {"key": "bad"}}':
            continue  # not ours: put into the outbox by this test
        schema = json.loads((FOLDER / f"{name}.json").read_text())
        jsonschema.Draft202012Validator(schema).validate(json.loads(payload))
        checked[name] += 1
    assert set(checked) == set(names.values())
    (received,) = site.store.list_verdicts()
    assert (received.body.accession, received.body.category, received.raw) == ("S26-001234", "AUS", message.payload)


@BOTH
def test_state_is_retained_online_and_then_offline_with_the_same_session(
    site: Site, mosquitto: Mosquitto, eventually: Eventually, protocol: str
) -> None:
    sender = site.sender(mosquitto.port, protocol)
    eventually(lambda: sender.status().connected, "connected")

    def retained() -> list[dict[str, object]]:
        with Spy(mosquitto.port) as spy:
            eventually(lambda: spy.payloads("/state"), "a retained state")
            return [json.loads(payload)["data"] for _, payload, kept in spy.seen if kept]

    (online,) = retained()
    sender.stop()
    (offline,) = retained()
    assert (online["status"], offline["status"]) == ("online", "offline")
    assert online["session"] == offline["session"]
    assert online["engine"] == "serous-1.0.0"


@BOTH
def test_a_hub_that_was_never_there_gets_the_verdict_when_it_comes(
    site: Site, mosquitto: Mosquitto, samples: Samples, eventually: Eventually, protocol: str
) -> None:
    message = samples.finished(site.journal, 1)
    sender = site.sender(mosquitto.port, protocol, receipt_timeout_s=0.3)
    if protocol == "5":
        eventually(lambda: site.outbox.delivery(message.key).broker_code == 0x10, "PUBACK 0x10")  # type: ignore[union-attr]
        eventually(lambda: sender.status().hub_present is False, "the hub's absence is told")
        assert "hub is absent" in sender.status().last_problem
    else:  # 3.1.1 tells nothing, the missing receipt does
        eventually(lambda: "No receipt" in sender.status().last_problem, "a missing receipt is noticed")
    assert site.outbox.pending_count() == 1
    site.hub(mosquitto.port, protocol)
    assert sender.wait_for_receipt(message.key, 15).receipt in ("accepted", "duplicate")  # type: ignore[union-attr]
    assert site.keys() == [message.key]
    eventually(lambda: sender.status().last_problem == "", "all is well again")


@BOTH
def test_the_broker_keeps_messages_for_a_hub_that_is_away(
    site: Site, mosquitto: Mosquitto, samples: Samples, eventually: Eventually, protocol: str
) -> None:
    site.hub(mosquitto.port, protocol).stop()
    message = samples.finished(site.journal, 1)
    sender = site.sender(mosquitto.port, protocol)
    eventually(lambda: site.outbox.delivery(message.key).broker_code == 0, "the broker has taken it")  # type: ignore[union-attr]
    assert site.outbox.pending_count() == 1, "an acknowledgement of the broker is no receipt"
    sender.stop()
    site.hub(mosquitto.port, protocol)
    eventually(lambda: site.keys() == [message.key], "the hub has got it from the broker")
    late = site.sender(mosquitto.port, protocol)
    assert late.wait_for_receipt(message.key, 15).receipt in ("accepted", "duplicate")  # type: ignore[union-attr]
    assert site.keys() == [message.key]


@BOTH
def test_without_a_broker_the_sender_keeps_trying(
    site: Site, make_mosquitto: type[Mosquitto], samples: Samples, eventually: Eventually, protocol: str
) -> None:
    broker = make_mosquitto()
    message = samples.finished(site.journal, 1)
    sender = site.sender(broker.port, protocol)
    eventually(lambda: "No connection to the broker" in sender.status().last_problem, "the absence is told")
    assert sender.wait_for_receipt(message.key, 0.05) is None
    assert site.outbox.delivery(message.key).attempts == 0  # type: ignore[union-attr]
    broker.start()
    site.hub(broker.port, protocol)
    assert sender.wait_for_receipt(message.key, 20).receipt in ("accepted", "duplicate")  # type: ignore[union-attr]
    assert site.keys() == [message.key]


@BOTH
def test_a_broker_killed_again_and_again_loses_and_doubles_nothing(
    site: Site, make_mosquitto: type[Mosquitto], samples: Samples, eventually: Eventually, protocol: str
) -> None:
    broker = make_mosquitto()
    broker.start()
    site.hub(broker.port, protocol)
    sender = site.sender(broker.port, protocol, in_flight=4, receipt_timeout_s=1.0)
    keys = []
    for number in range(1, 46):
        keys.append(samples.finished(site.journal, number).key)
        if number % 15 == 0:
            done = number - 12
            eventually(lambda done=done: len(site.keys()) >= done, f"{done} verdicts at the hub")
            broker.kill()
            broker.start()
    eventually(lambda: site.outbox.pending_count() == 0, "every receipt is in", 30)
    assert sorted(site.keys()) == sorted(keys)
    assert sender.status().connections >= 3


@BOTH
def test_no_more_is_in_flight_than_allowed(
    site: Site, mosquitto: Mosquitto, samples: Samples, eventually: Eventually, protocol: str
) -> None:
    site.hub(mosquitto.port, protocol).stop()
    keys = [samples.finished(site.journal, number).key for number in range(1, 13)]
    with Spy(mosquitto.port) as spy:
        sender = site.sender(mosquitto.port, protocol, in_flight=5, health_every_s=0.02)
        eventually(lambda: len(spy.payloads("evt/verdict")) == 5, "five are out")
        rounds = len(spy.payloads("/health"))
        eventually(lambda: len(spy.payloads("/health")) >= rounds + 5, "the sender has looked five times more")
        assert len(spy.payloads("evt/verdict")) == 5
        site.hub(mosquitto.port, protocol)
        eventually(lambda: site.outbox.pending_count() == 0, "the hub has answered all")
        assert sorted(site.keys()) == sorted(keys)
        assert sender.status().published == 12


@BOTH
def test_a_rejection_parks_the_message_with_its_reason_and_raises_an_alarm(
    site: Site, mosquitto: Mosquitto, samples: Samples, eventually: Eventually, protocol: str
) -> None:
    site.hub(mosquitto.port, protocol)
    good = samples.message(samples.run())
    broken = good.payload.replace(b'"category":"AUS"', b'"category":null')
    site.journal.post(OutboxMessage(good.key, good.topic, broken))
    sender = site.sender(mosquitto.port, protocol)
    delivery = sender.wait_for_receipt(good.key, 15)
    assert delivery is not None
    assert (delivery.receipt, delivery.parked) == ("rejected", True)
    assert "data.category" in delivery.reason
    eventually(lambda: site.store.events(".alarm."), "the alarm at the hub")
    (alarm,) = [json.loads(payload)["data"] for payload in site.store.events(".alarm.")]
    assert alarm["code"] == "hub-rejected"
    assert "data.category" in alarm["what"]
    assert site.store.refusals()[0].key == good.key
    assert site.keys() == []
    next_one = samples.finished(site.journal, 2)
    assert sender.wait_for_receipt(next_one.key, 15).receipt == "accepted"  # type: ignore[union-attr]


@BOTH
def test_nothing_that_comes_on_the_receipt_topic_stops_the_sender(
    site: Site, mosquitto: Mosquitto, samples: Samples, eventually: Eventually, protocol: str
) -> None:
    sender = site.sender(mosquitto.port, protocol)
    eventually(lambda: sender.status().connected, "connected")
    with Spy(mosquitto.port) as spy:
        for rubbish in (b"", b"\xff\xfe", b"[1]", b'{"data": {"key": 1}}', b"x" * 2_000_000):
            spy.publish(TOPICS.of(Leaf.RECEIPT), rubbish)
    eventually(lambda: "could not be read" in sender.status().last_problem, "the rubbish is noticed")
    site.hub(mosquitto.port, protocol)
    message = samples.finished(site.journal, 1)
    assert sender.wait_for_receipt(message.key, 15).receipt == "accepted"  # type: ignore[union-attr]
    assert sender.status().connections == 1


def test_one_sender_a_journal(site: Site, mosquitto: Mosquitto) -> None:
    site.sender(mosquitto.port, "5")
    with pytest.raises(JournalError, match="already sends this journal"):
        site.sender(mosquitto.port, "5")


def test_a_sender_may_be_stopped_at_any_time(site: Site) -> None:
    never = Sender(TOPICS, site.uplink(1, "5"), site.path, app_version="0")
    never.stop()
    sender = site.sender(1, "5")
    began = time.monotonic()
    sender.stop()
    sender.stop()
    assert time.monotonic() - began < 10
    assert not sender.status().alive
    sender.notify()
