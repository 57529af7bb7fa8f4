"""The sender: brings what stands in the outbox to the hub, for as long as it takes."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

from appliance.errors import JournalError
from appliance.journal import Delivery, Outbox
from appliance.journal.lock import FileLock
from appliance.messages.ids import new_uuid7
from appliance.messages.link import Link
from appliance.messages.link_options import LinkDown, LinkOptions, TlsFiles, Waker, Will
from appliance.messages.topics import Leaf, Topics
from appliance.settings.model import UplinkSection
from appliance.uplink.conversation import Conversation, Manners
from appliance.uplink.presence import Presence
from appliance.uplink.suspects import Suspects
from appliance.uplink.traffic import SenderStatus, Traffic
from appliance.uplink.waits import reconnect_wait_s

KEPT_AFTER_RECEIPT = timedelta(days=90)
_LONGEST_POLL_S = 0.2
_GOOD_CONNECTION_S = 10.0


class Sender:
    """Sends the journal's messages on a thread of its own, until the hub has given a receipt for each.

    One sender per journal, in the scanner's process or another. A broker that is absent, refuses or comes and goes is
    tried again; `status` tells what is wrong meanwhile.
    """

    def __init__(
        self,
        topics: Topics,
        uplink: UplinkSection,
        journal: Path,
        *,
        app_version: str,
        engine: str | None = None,
        backend: str | None = None,
        health_every_s: float = 30.0,
        connack_timeout_s: float = 10.0,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """Prepare; nothing is opened yet.

        engine, backend: what the device scores with, for its state message. clock: seconds since 1970, UTC.
        monotonic: seconds. draw: random number in [0, 1) for jitter.
        """
        self._uplink = uplink
        self._journal = journal
        self._traffic = Traffic()
        self._manners = Manners(
            in_flight=uplink.in_flight,
            receipt_timeout_s=uplink.receipt_timeout_s,
            health_every_s=health_every_s,
            connack_timeout_s=connack_timeout_s,
            clock=clock,
            monotonic=monotonic,
            draw=draw,
        )
        self._presence = Presence(
            topics=topics,
            session=str(new_uuid7()),
            app_version=app_version,
            engine=engine,
            backend=backend,
            started_s=clock(),
            clock=clock,
        )
        self._tidied = False
        self._suspects = Suspects()
        self._stopping = threading.Event()
        self._waker = Waker()
        self._thread: threading.Thread | None = None
        self._lock: FileLock | None = None

    def start(self) -> None:
        """Begin sending. Raises JournalError when another sender has this journal, or its folder is missing."""
        self._lock = FileLock(self._journal.with_name(self._journal.name + ".uplink.lock"), "sends this journal")
        self._traffic.update(alive=True)
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 15.0) -> None:
        """Say goodbye to the broker and end the thread; unsent messages stay in the journal. Safe to call twice."""
        self._stopping.set()
        self._waker.wake()
        if self._thread is not None:
            self._thread.join(timeout_s)
        if self.status().alive:
            return  # a name look-up can hold it longer; the thread is a daemon
        self._waker.close()
        if self._lock is not None:
            self._lock.release()

    def status(self) -> SenderStatus:
        """How the sender fares; from any thread."""
        return self._traffic.status

    def notify(self) -> None:
        """Look into the outbox at once; from any thread. Without it, the sender looks five times a second."""
        self._waker.wake()

    def wait_for_receipt(self, key: str, timeout_s: float) -> Delivery | None:
        """Wait until the hub has answered for this key, or the message is parked; None when the time is over.

        Raises JournalError when the journal cannot be read.
        """
        self.notify()
        deadline = time.monotonic() + timeout_s
        with Outbox.open(self._journal) as outbox:
            while True:
                with self._traffic.changed:
                    delivery = outbox.delivery(key)
                    if delivery is not None and (delivery.receipt is not None or delivery.parked):
                        return delivery
                    left_s = deadline - time.monotonic()
                    if left_s <= 0 or not self.status().alive:
                        return None
                    self._traffic.changed.wait(min(left_s, 1.0))

    def _run(self) -> None:
        failures = 0
        try:
            while not self._stopping.is_set():
                receipts, began = self.status().receipts, self._manners.monotonic()
                try:
                    with Outbox.open(self._journal) as outbox:
                        self._connection(outbox)
                except (LinkDown, JournalError) as error:
                    self._traffic.update(connected=False, problem=error.what)
                lasted_s = self._manners.monotonic() - began
                fruitful = self.status().receipts > receipts or lasted_s >= _GOOD_CONNECTION_S
                failures = 0 if fruitful else failures + 1
                self._stopping.wait(reconnect_wait_s(failures, self._manners.draw()))
        except BaseException as fault:
            self._traffic.update(problem=f"The sender has stopped by a fault of the program ({fault!r}).")
            raise
        finally:
            self._traffic.update(alive=False, connected=False)

    def _tidy(self, outbox: Outbox) -> None:
        now = datetime.fromtimestamp(self._manners.clock(), timezone.utc)
        outbox.release()
        outbox.purge(now - KEPT_AFTER_RECEIPT)
        self._tidied = True

    def _connection(self, outbox: Outbox) -> None:
        if not self._tidied:
            self._tidy(outbox)
        outbox.due_now()
        link = Link(self._options(outbox.last_seq()), self._waker)
        try:
            link.open()
            talk = Conversation(link, outbox, self._presence, self._traffic, self._manners, suspects=self._suspects)
            self._talk(link, talk)
        finally:
            link.drop()

    def _talk(self, link: Link, talk: Conversation) -> None:
        try:
            while not self._stopping.is_set():
                for event in link.poll(_LONGEST_POLL_S):
                    talk.handle(event)
                talk.tick()
        except LinkDown:
            talk.lost()
            raise
        talk.farewell()
        link.close()

    def _options(self, seq0: int) -> LinkOptions:
        uplink, topics = self._uplink, self._presence.topics
        tls = uplink.tls
        return LinkOptions(
            host=uplink.host,
            port=uplink.port,
            client_id=uplink.client_id or topics.device,
            protocol=uplink.protocol,
            keepalive_s=uplink.keepalive_s,
            username=uplink.username,
            password_file=uplink.password_file,
            tls=None if tls is None else TlsFiles(tls.ca_file, tls.cert_file, tls.key_file),
            will=Will(topic=topics.of(Leaf.STATE), payload=self._presence.state("offline", seq0)),
        )
