"""One MQTT connection, driven by its owner's own loop.

paho-mqtt runs without its network thread: callbacks only note what happened, the owner collects it with `poll` and
acts on it. So no exception can end a hidden thread, nothing waits in a queue that a crash would lose, and nothing is
ever published while disconnected. A lost link is thrown away and a new one made: message numbers of the old are void.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
import time
from pathlib import Path
from typing import Any

from paho.mqtt import MQTTException
from paho.mqtt.client import (
    MQTT_ERR_SUCCESS,
    Client,
    ConnectFlags,
    DisconnectFlags,
    MQTTMessage,
    MQTTv5,
    MQTTv311,
)
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from appliance.messages.link_events import Acked, Arrived, Connected, LinkEvent, Lost, Refused, Subscribed
from appliance.messages.link_options import LinkDown, LinkOptions, Waker

_BROKEN = (OSError, MQTTException, ValueError, LookupError, TypeError, struct.error)


class Link:
    """A connection from `open` to its loss, owned by one thread."""

    def __init__(self, options: LinkOptions, waker: Waker) -> None:
        self._options = options
        self._waker = waker
        self._events: list[LinkEvent] = []
        self._client = self._prepared(options)

    def _prepared(self, options: LinkOptions) -> Client:
        five = options.protocol == "5"
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=options.client_id,
            protocol=MQTTv5 if five else MQTTv311,
            clean_session=None if five else False,
            reconnect_on_failure=False,
            manual_ack=options.manual_ack,
        )
        client.connect_timeout = options.connect_timeout_s
        client.max_inflight_messages_set(0)  # the owner counts what is in flight
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        if options.will is not None:
            client.will_set(
                options.will.topic,
                options.will.payload,
                qos=1,
                retain=True,
                properties=_properties(PacketTypes.WILLMESSAGE, WillDelayInterval=options.will.delay_s)
                if five
                else None,
            )
        return client

    def open(self) -> None:
        """Connect the socket and send CONNECT; `poll` tells the broker's answer. Raises LinkDown."""
        options = self._options
        self._identify(options)
        try:
            if options.protocol == "5":
                expiry = _properties(PacketTypes.CONNECT, SessionExpiryInterval=options.session_expiry_s)
                self._client.connect(
                    options.host, options.port, options.keepalive_s, clean_start=False, properties=expiry
                )
            else:
                self._client.connect(options.host, options.port, options.keepalive_s)
            sock = self._client.socket()
            if isinstance(sock, socket.socket):
                # Small messages both ways: without this, each waits some 40 ms for the other side's acknowledgement.
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except _BROKEN as error:
            raise LinkDown(f"No connection to the broker at {options.host}:{options.port} ({error}).") from error

    def _identify(self, options: LinkOptions) -> None:
        try:
            if options.username is not None:
                self._client.username_pw_set(options.username, _password(options.password_file))
            if options.tls is not None:
                self._client.tls_set(
                    ca_certs=str(options.tls.ca_file),
                    certfile=_text(options.tls.cert_file),
                    keyfile=_text(options.tls.key_file),
                    tls_version=ssl.PROTOCOL_TLS_CLIENT,
                )
        except (OSError, ValueError) as error:
            raise LinkDown(
                f"The credentials for the broker cannot be read ({error}).",
                remedy="Check password_file and the files of tls.",
            ) from error

    def poll(self, timeout_s: float) -> list[LinkEvent]:
        """Wait at most timeout_s for the network or the waker, and tell what happened since the last call."""
        try:
            self._turn(timeout_s)
        except _BROKEN as error:
            self._events.append(Lost(f"the connection failed: {error}"))
        events, self._events = self._events, []
        return events

    def _turn(self, timeout_s: float) -> None:
        sock: socket.socket | None = self._client.socket()  # type: ignore[assignment]
        if sock is None:
            self._events.append(Lost("the connection is closed"))
            return
        buffered = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        writers = [sock] if self._client.want_write() else []
        waiting_s = 0.0 if buffered or self._events else timeout_s
        readable, writable, _ = select.select([sock, self._waker.receiver], writers, [], waiting_s)
        if self._waker.receiver in readable:
            self._waker.clear()
        if sock in readable or buffered:
            self._client.loop_read()
        if sock in writable:
            self._client.loop_write()
        self._client.loop_misc()

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> int:
        """Hand a message to the broker; its number, which comes back in Acked when qos is 1. Raises LinkDown."""
        if not self._client.is_connected():
            raise LinkDown("The connection to the broker is lost.")
        info = self._client.publish(topic, payload, qos=qos, retain=retain)
        if info.rc != MQTT_ERR_SUCCESS:
            raise LinkDown(f"The broker's connection failed while publishing ({info.rc.name}).")
        return info.mid

    def subscribe(self, *filters: str) -> None:
        """Ask for topics with QoS 1; the answer comes as Subscribed. Raises LinkDown."""
        code, _ = self._client.subscribe([(name, 1) for name in filters])
        if code != MQTT_ERR_SUCCESS:
            raise LinkDown(f"The broker's connection failed while subscribing ({code.name}).")

    def ack(self, message: Arrived) -> None:
        """Tell the broker that a message was dealt with; a lost connection shows in the next poll."""
        self._client.ack(message.mid, message.qos)

    def close(self) -> None:
        """Say goodbye (the will stays unsent) and close."""
        try:
            if self._client.is_connected():
                self._client.disconnect()
                deadline = time.monotonic() + 1.0
                while self._client.want_write() and time.monotonic() < deadline:
                    self._turn(0.05)
        except _BROKEN:
            return  # it is gone already
        finally:
            self.drop()

    def drop(self) -> None:
        """Close the socket without a word; the broker publishes the will."""
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    def _on_connect(
        self, _client: Client, _userdata: object, flags: ConnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        if code.is_failure:
            self._events.append(Refused(code.value, str(code)))
            return
        self._events.append(
            Connected(
                session_present=flags.session_present,
                receive_maximum=_property(properties, "ReceiveMaximum"),
                maximum_packet=_property(properties, "MaximumPacketSize"),
            )
        )

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: object,
        _flags: DisconnectFlags,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._events.append(Lost(str(code)))

    def _on_publish(
        self, _client: Client, _userdata: object, mid: int, code: ReasonCode, _properties: Properties | None
    ) -> None:
        self._events.append(Acked(mid, code.value, str(code)))

    def _on_subscribe(
        self, _client: Client, _userdata: object, _mid: int, codes: list[ReasonCode], _properties: Properties | None
    ) -> None:
        self._events.append(Subscribed(tuple(code.value for code in codes)))

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""  # no topic of ours; whoever reads it refuses it
        self._events.append(Arrived(topic, bytes(message.payload), message.mid, message.qos, message.retain))


def _properties(kind: int, **values: int) -> Properties:
    properties = Properties(kind)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


def _property(properties: Properties | None, name: str) -> int | None:
    value: Any = getattr(properties, name, None)
    return None if value is None else int(value)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _password(path: Path | None) -> str | None:
    return None if path is None else path.read_text(encoding="utf-8").strip()
