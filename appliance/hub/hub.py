"""The reference receiver: takes each event once, and answers each copy with a receipt."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone

from appliance.errors import JournalError
from appliance.hub.events import Event, ReceivedVerdict
from appliance.hub.inbox import Cleared, DeviceWord, Judged, Refused, judge
from appliance.hub.store import HubStore
from appliance.messages.device import StateMessage
from appliance.messages.link import Link
from appliance.messages.link_events import Arrived, Connected, LinkEvent, Lost, Subscribed
from appliance.messages.link_events import Refused as LinkRefused
from appliance.messages.link_options import LinkDown, LinkOptions, Waker
from appliance.messages.receipt import ReceiptBody, ReceiptStatus, receipt_message
from appliance.messages.topics import HUB_FILTERS, Address, Leaf, Topics

OnVerdict = Callable[[ReceivedVerdict], None]
SESSION_EXPIRY_S = 7 * 24 * 3600
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 30.0
_CONNACK_TIMEOUT_S = 10.0
_REFUSED = 0x80


class Hub:
    """Receives on a thread of its own. The broker keeps what comes while the hub is away (MQTT 5: a week)."""

    def __init__(self, store: HubStore, options: LinkOptions, on_verdict: OnVerdict | None = None) -> None:
        """Prepare; nothing is opened yet.

        options: must have manual_ack, as `hub_options` gives it. on_verdict: called on the hub's thread for each
        verdict taken for the first time; it must return soon.
        """
        self._store = store
        self._options = options
        self._on_verdict = on_verdict
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._waker = Waker()
        self._problem = ""
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin receiving."""
        self._thread = threading.Thread(target=self._run, name="hub", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 15.0) -> None:
        """Leave the broker and end the thread; the store stays open. Safe to call twice."""
        self._stopping.set()
        self._waker.wake()
        if self._thread is not None:
            self._thread.join(timeout_s)
        if not self.alive:
            self._waker.close()

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until the hub listens; whether it does."""
        return self._ready.wait(timeout_s)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def problem(self) -> str:
        """What keeps the hub from receiving; empty when nothing does."""
        return self._problem

    def _run(self) -> None:
        wait_s = _FIRST_WAIT_S
        try:
            while not self._stopping.is_set():
                try:
                    self._connection()
                except (LinkDown, JournalError) as error:
                    self._problem = error.what
                wait_s = _FIRST_WAIT_S if self._ready.is_set() else min(wait_s * 2, _LONGEST_WAIT_S)
                self._ready.clear()
                self._stopping.wait(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
        except BaseException as fault:
            self._problem = f"The hub has stopped by a fault of the program ({fault!r})."
            raise
        finally:
            self._ready.clear()

    def _connection(self) -> None:
        link = Link(self._options, self._waker)
        try:
            link.open()
            connack_by = time.monotonic() + _CONNACK_TIMEOUT_S
            while not self._stopping.is_set():
                for event in link.poll(1.0):
                    self._handle(link, event)
                if not self._ready.is_set() and time.monotonic() > connack_by:
                    raise LinkDown("The broker's port answers, but no CONNACK comes.")
            link.close()
        finally:
            link.drop()

    def _handle(self, link: Link, event: LinkEvent) -> None:
        if isinstance(event, Connected):
            link.subscribe(*HUB_FILTERS)
        elif isinstance(event, Subscribed):
            self._subscribed(event)
        elif isinstance(event, Arrived):
            self._take(link, event)
        elif isinstance(event, LinkRefused):
            raise LinkDown(f"The broker refuses the hub ({event.text}).", remedy="Check user name and password.")
        elif isinstance(event, Lost):
            raise LinkDown(f"The connection to the broker is lost ({event.reason}).")

    def _subscribed(self, event: Subscribed) -> None:
        if any(code >= _REFUSED for code in event.codes):
            raise LinkDown("The broker does not let the hub read.", remedy="Check the broker's access list.")
        self._problem = ""
        self._ready.set()

    def _take(self, link: Link, arrived: Arrived) -> None:
        """Store first, then the receipt, then the acknowledgement: a crash between repeats, and never loses."""
        now = datetime.now(timezone.utc)
        judged = judge(arrived.topic, arrived.payload)
        if isinstance(judged, Event):
            self._event(link, judged, arrived, now)
        else:
            self._other(link, judged, arrived, now)
        link.ack(arrived)

    def _event(self, link: Link, event: Event, arrived: Arrived, now: datetime) -> None:
        outcome = self._store.take(event, now)
        if outcome == "conflict":
            reason = "this key belongs to another message"
            self._store.refuse(arrived.topic, event.key, reason, now, arrived.payload)
            _answer(link, event.address, event.key, "rejected", reason)
            return
        _answer(link, event.address, event.key, outcome, "")
        if outcome == "accepted" and self._on_verdict is not None:
            verdict = self._store.verdict(event.key)
            if verdict is not None:
                self._on_verdict(verdict)

    def _other(self, link: Link, judged: Judged, arrived: Arrived, now: datetime) -> None:
        if isinstance(judged, DeviceWord):
            state = arrived.payload if isinstance(judged.message, StateMessage) else None
            health = None if state is not None else arrived.payload
            self._store.note_device(judged.address, now, state=state, health=health)
        elif isinstance(judged, Cleared):
            self._store.note_device(judged.address, now, state=b"")
        elif isinstance(judged, Refused):
            self._store.refuse(arrived.topic, judged.key, judged.reason, now, arrived.payload)
            if judged.address is not None and judged.key is not None:
                _answer(link, judged.address, judged.key, "rejected", judged.reason)


def _answer(link: Link, address: Address, key: str, status: ReceiptStatus, reason: str) -> None:
    now = datetime.now(timezone.utc)
    body = ReceiptBody(key=key, status=status, reason=reason, hub_time=now)
    message = receipt_message(address.site, address.device, body, now)
    link.publish(Topics(address.site, address.device).of(Leaf.RECEIPT), message.payload())


def hub_options(
    host: str,
    port: int,
    protocol: str = "5",
    *,
    client_id: str = "cytoscan-hub",
    username: str | None = None,
    keepalive_s: int = 30,
) -> LinkOptions:
    """How a hub connects: a session that outlives a weekend, and acknowledgement only after storing."""
    return LinkOptions(
        host=host,
        port=port,
        client_id=client_id,
        protocol=protocol,
        keepalive_s=keepalive_s,
        session_expiry_s=SESSION_EXPIRY_S,
        username=username,
        manual_ack=True,
    )
