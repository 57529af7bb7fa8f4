"""One connection's talk with broker and hub: what is in flight, and what each answer means for the outbox."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from appliance.errors import ApplianceError
from appliance.journal import Claimed, Outbox
from appliance.messages.link import Link
from appliance.messages.link_events import Acked, Arrived, Connected, LinkEvent, Lost, Refused, Subscribed
from appliance.messages.link_options import LinkDown
from appliance.messages.receipt import ReceiptMessage
from appliance.messages.topics import Leaf, Topics
from appliance.messages.wire import BadMessage, read
from appliance.uplink.presence import Presence
from appliance.uplink.suspects import Suspects
from appliance.uplink.traffic import Traffic
from appliance.uplink.waits import absent_wait_s, receipt_wait_s

NO_SUBSCRIBERS = 0x10
REFUSED = 0x80
# Fixed header, topic length, message number and property length of an MQTT 5 PUBLISH, rounded up.
_HEADER_BYTES = 16


class Undelivered(ApplianceError):
    """A message was refused and waits in the journal for a person."""

    def __init__(self, what: str, *, remedy: str) -> None:
        super().__init__(what, safe="The message is kept in the journal.", remedy=remedy)


@dataclass(frozen=True)
class Manners:
    """How the sender behaves.

    in_flight: messages without receipt at a time. receipt_timeout_s: first wait for a receipt; it doubles.
    clock: seconds since 1970; monotonic: seconds; draw: random number in [0, 1).
    """

    in_flight: int
    receipt_timeout_s: float
    health_every_s: float
    connack_timeout_s: float
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    draw: Callable[[], float]


class Conversation:
    """From CONNACK to the loss of the connection. Owned by the sender's thread."""

    def __init__(
        self,
        link: Link,
        outbox: Outbox,
        presence: Presence,
        traffic: Traffic,
        manners: Manners,
        *,
        suspects: Suspects,
    ) -> None:
        """Begin after `Link.open`. suspects: what earlier connections were lost over."""
        self._link = link
        self._outbox = outbox
        self._presence = presence
        self._topics: Topics = presence.topics
        self._traffic = traffic
        self._manners = manners
        self._serving = False
        self._connack_by = manners.monotonic() + manners.connack_timeout_s
        self._health_at = 0.0
        self._most = manners.in_flight
        self._suspects = suspects
        self._largest: int | None = None
        self._by_mid: dict[int, Claimed] = {}
        self._awaited: dict[str, tuple[Claimed, float]] = {}
        self._hub_silent = False

    def handle(self, event: LinkEvent) -> None:
        """Act on one event. Raises LinkDown when the connection is over, JournalError when the outbox fails."""
        if isinstance(event, Connected):
            self._connected(event)
        elif isinstance(event, Subscribed):
            self._subscribed(event)
        elif isinstance(event, Acked):
            self._acked(event)
        elif isinstance(event, Arrived):
            self._arrived(event)
        elif isinstance(event, Refused):
            raise LinkDown(
                f"The broker refuses this device ({event.text}).", remedy="Check user name, password and certificate."
            )
        elif isinstance(event, Lost):
            raise LinkDown(f"The connection to the broker is lost ({event.reason}).")

    def tick(self) -> None:
        """Do what time asks for: health, expired waits, the next messages. Raises LinkDown, JournalError."""
        now = self._manners.monotonic()
        if not self._serving:
            if now >= self._connack_by:
                raise LinkDown(
                    "The broker's port answers, but no CONNACK comes.",
                    remedy="Check this device's certificate, and that the port speaks MQTT.",
                )
            return
        if now >= self._health_at:
            self._health_at = now + self._manners.health_every_s
            health = self._presence.health(self._outbox, self._traffic.status)
            self._link.publish(self._topics.of(Leaf.HEALTH), health, qos=0)
        self._expire(now)
        self._send(now)

    def farewell(self) -> None:
        """Leave an offline state behind, as the will would. Raises LinkDown."""
        if self._serving:
            self._say_state("offline")

    def lost(self) -> None:
        """Note what was out when the connection went, and park what has taken too many connections with it."""
        out = {item.key: item for item in self._by_mid.values()}
        culprit = self._suspects.lost(list(out))
        if culprit is not None:
            self._park(out[culprit], "connection-dropped", "the broker drops the connection whenever it is sent")

    def _say_state(self, status: Literal["online", "offline"]) -> None:
        state = self._presence.state(status, self._outbox.last_seq())
        self._link.publish(self._topics.of(Leaf.STATE), state, retain=True)

    def _connected(self, event: Connected) -> None:
        if event.receive_maximum is not None:
            # One place stays free for state messages.
            self._most = max(1, min(self._most, event.receive_maximum - 1))
        self._largest = event.maximum_packet
        self._traffic.count(connections=1)
        self._link.subscribe(self._topics.of(Leaf.RECEIPT))

    def _subscribed(self, event: Subscribed) -> None:
        refused = any(code >= REFUSED for code in event.codes)
        problem = "The broker does not let this device read its receipts: check its access list." if refused else ""
        self._serving = True
        self._traffic.update(connected=True, problem=problem)
        self._say_state("online")

    def _expire(self, now: float) -> None:
        late = [item for item, until in self._awaited.values() if until <= now]
        for item in late:
            del self._awaited[item.key]
            self._hub_silent = True
            self._traffic.update(problem=f"No receipt came for message {item.seq} after attempt {item.attempts}.")

    def _send(self, now: float) -> None:
        manners = self._manners

        def wait_s(attempts: int) -> float:
            return receipt_wait_s(attempts, manners.receipt_timeout_s, manners.draw())

        most = 1 if self._suspects.cautious else self._most
        for item in self._outbox.claim(manners.clock(), most - len(self._awaited), wait_s):
            if self._too_large(item):
                self._park(item, "too-large", f"it is larger than the {self._largest} bytes that the broker takes")
                continue
            self._awaited[item.key] = (item, now + item.wait_s)
            self._by_mid[self._link.publish(item.topic, item.payload)] = item
            self._traffic.count(published=1)

    def _too_large(self, item: Claimed) -> bool:
        size = len(item.payload) + len(item.topic.encode()) + _HEADER_BYTES
        return self._largest is not None and size > self._largest

    def _acked(self, event: Acked) -> None:
        item = self._by_mid.pop(event.mid, None)
        if item is None:
            return  # a state message
        self._suspects.answered(item.key)
        self._outbox.mark_broker(item.seq, event.code, self._manners.clock())
        if event.code >= REFUSED:
            self._awaited.pop(item.key, None)
            self._park(item, "broker-refused", f"the broker refuses it: {event.text} (0x{event.code:02x})")
        elif event.code == NO_SUBSCRIBERS:
            self._awaited.pop(item.key, None)
            again = self._manners.clock() + absent_wait_s(item.attempts, self._manners.draw())
            self._outbox.due_at(item.seq, again)
            self._hub_silent = True
            self._traffic.update(hub_present=False, problem="The hub is absent: nobody listens at the broker.")

    def _park(self, item: Claimed, code: str, why: str) -> None:
        self._outbox.park(item.seq, why)
        trouble = Undelivered(
            f"Message {item.seq} ({item.topic}) did not reach the hub: {why}.",
            remedy="Mend the broker's access list or limits; the sender tries again when it is started next.",
        )
        self._refused(item.topic, item.key, code, trouble)

    def _refused(self, topic: str, key: str, code: str, trouble: Undelivered) -> None:
        self._traffic.count(refused=1)
        self._traffic.update(problem=trouble.what)
        if topic != self._topics.of(Leaf.ALARM):  # no alarm about an alarm
            seq = self._outbox.next_seq()
            self._outbox.post(self._presence.alarm(seq, code, key, trouble), self._manners.clock())

    def _arrived(self, event: Arrived) -> None:
        if event.topic != self._topics.of(Leaf.RECEIPT):
            return
        try:
            message = read(Leaf.RECEIPT, event.payload)
        except BadMessage as error:
            self._traffic.update(problem=f"A receipt could not be read. {error.what}")
            return
        if isinstance(message, ReceiptMessage):
            self._receipt(message)

    def _receipt(self, message: ReceiptMessage) -> None:
        body = message.data
        if not self._outbox.mark_receipt(body.key, body.status, body.reason, self._manners.clock()):
            self._traffic.update(problem="A receipt came for a message that is not in this journal.")
            return
        self._awaited.pop(body.key, None)
        self._traffic.count(receipts=1)
        if body.status == "rejected":
            self._rejected(body.key, body.reason)
        else:
            self._traffic.update(hub_present=True, problem="")
        if self._hub_silent:
            self._hub_silent = False
            self._outbox.due_now(unless=[item.seq for item, _ in self._awaited.values()])

    def _rejected(self, key: str, reason: str) -> None:
        delivery = self._outbox.delivery(key)
        self._traffic.update(hub_present=True)
        if delivery is not None and delivery.receipt == "rejected":
            trouble = Undelivered(
                f"The hub rejects message {delivery.seq} ({delivery.topic}): {reason}.",
                remedy="Read the reason, mend the cause, and release the message.",
            )
            self._refused(delivery.topic, key, "hub-rejected", trouble)
