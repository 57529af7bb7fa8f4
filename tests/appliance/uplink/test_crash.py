"""kill -9 of the sender or the hub at any moment: the hub has each verdict once. Against real mosquitto."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..mosquitto_process import Mosquitto
from ..mqtt_spy import Spy
from ..slide_samples import Samples
from .conftest import Eventually, Site

BOTH = pytest.mark.parametrize("protocol", ["5", "3.1.1"])
Start = Callable[..., "subprocess.Popen[bytes]"]

HUB = """
import sys, threading
from pathlib import Path
from appliance.hub import run_hub
run_hub("127.0.0.1", int(sys.argv[2]), sys.argv[3], Path(sys.argv[1]), lambda verdict: None, stop=threading.Event())
"""


@pytest.fixture
def start(site: Site) -> Iterator[Start]:
    """Starts the sender as a process of its own."""
    running: list[subprocess.Popen[bytes]] = []

    def start(port: int, protocol: str, *more: str) -> subprocess.Popen[bytes]:
        told = ["journal.path=" + str(site.path), "uplink.host=127.0.0.1", f"uplink.port={port}"]
        told += [f"uplink.protocol='{protocol}'", "uplink.receipt_timeout_s=2", *more]
        overrides = [part for item in told for part in ("--set", item)]
        running.append(subprocess.Popen([sys.executable, "-m", "appliance.uplink", *overrides], stderr=subprocess.PIPE))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


@BOTH
def test_a_sender_killed_between_publish_and_receipt(
    site: Site, mosquitto: Mosquitto, samples: Samples, eventually: Eventually, protocol: str, start: Start
) -> None:
    site.hub(mosquitto.port, protocol).stop()  # the broker keeps messages for it from now on
    message = samples.finished(site.journal, 1)
    process = start(mosquitto.port, protocol)
    eventually(lambda: site.outbox.delivery(message.key).broker_code == 0, "published, not receipted")  # type: ignore[union-attr]
    process.kill()
    process.wait()
    hub = site.hub(mosquitto.port, protocol)
    eventually(lambda: site.keys() == [message.key], "the hub has it from the broker")
    hub.stop()
    assert site.outbox.pending_count() == 1
    mosquitto.kill()  # with it goes the receipt that it kept for the dead sender
    mosquitto.start()
    site.hub(mosquitto.port, protocol)
    start(mosquitto.port, protocol)
    eventually(lambda: site.outbox.pending_count() == 0, "the receipt is in after the restart")
    assert site.outbox.delivery(message.key).receipt == "duplicate"  # type: ignore[union-attr]
    assert [(verdict.body.key, verdict.repeats) for verdict in site.store.list_verdicts()] == [(message.key, 1)]


def test_a_sender_killed_at_random_instants(
    site: Site, mosquitto: Mosquitto, samples: Samples, eventually: Eventually, start: Start
) -> None:
    chance, keys = random.Random(5), []
    site.hub(mosquitto.port, "5")
    for first in (1, 21, 41):
        keys += [samples.finished(site.journal, number).key for number in range(first, first + 20)]
        before = site.outbox.pending_count()
        process = start(mosquitto.port, "5", "uplink.in_flight=3")
        eventually(lambda before=before: site.outbox.pending_count() < before, "some receipts are in")
        time.sleep(chance.uniform(0, 0.05))  # any instant between and within messages
        process.kill()
        process.wait()
    start(mosquitto.port, "5")
    eventually(lambda: site.outbox.pending_count() == 0, "every receipt is in", 30)
    assert sorted(site.keys()) == sorted(keys)


def test_a_hub_killed_at_random_instants(
    site: Site, mosquitto: Mosquitto, samples: Samples, eventually: Eventually
) -> None:
    chance = random.Random(6)
    keys = [samples.finished(site.journal, number).key for number in range(1, 61)]
    sender = site.sender(mosquitto.port, "5", in_flight=3, receipt_timeout_s=1.0)
    command = [sys.executable, "-c", HUB, str(site.store.path), str(mosquitto.port), "5"]
    for _ in range(2):
        before = len(site.keys())
        with subprocess.Popen(command) as hub:
            eventually(lambda before=before: len(site.keys()) > before, "the hub takes some")
            time.sleep(chance.uniform(0, 0.03))  # any instant between storing, receipt and acknowledgement
            hub.kill()
    with subprocess.Popen(command) as hub:
        eventually(lambda: site.outbox.pending_count() == 0, "every receipt is in", 40)
        hub.kill()
    assert sorted(site.keys()) == sorted(keys)
    assert sender.status().alive


def test_the_broker_tells_the_death_of_a_sender(mosquitto: Mosquitto, eventually: Eventually, start: Start) -> None:
    """With 3.1.1, where the will has no delay."""
    with Spy(mosquitto.port) as spy:
        process = start(mosquitto.port, "3.1.1")
        eventually(lambda: spy.payloads("/state"), "online")
        process.kill()
        eventually(lambda: len(spy.payloads("/state")) == 2, "offline by will")
        online, offline = (json.loads(payload)["data"] for payload in spy.payloads("/state"))
    assert (online["status"], offline["status"]) == ("online", "offline")
    assert online["session"] == offline["session"]


def test_the_process_ends_cleanly_when_asked(mosquitto: Mosquitto, eventually: Eventually, start: Start) -> None:
    with Spy(mosquitto.port) as spy:
        process = start(mosquitto.port, "5")
        eventually(lambda: spy.payloads("/state"), "online")
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        eventually(lambda: b'"offline"' in spy.payloads("/state")[-1], "offline by farewell")


def test_the_process_says_why_it_cannot_start(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "appliance.uplink", "--set"]
    misspelt = subprocess.run([*command, "uplink.prot=1"], capture_output=True, text=True, check=False)
    assert misspelt.returncode == 1
    assert "uplink.prot" in misspelt.stderr
    absent = f"journal.path={tmp_path}/nowhere/journal.sqlite"
    nowhere = subprocess.run([*command, absent], capture_output=True, text=True, check=False)
    assert nowhere.returncode == 1
    assert "folder" in nowhere.stderr
