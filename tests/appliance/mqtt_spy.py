"""A third client that sees every message on a broker, independent of our own connection code."""

from __future__ import annotations

import threading
from types import TracebackType

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion


class Spy:
    """Collects (topic, payload, retained) of everything under lab/ until it is closed."""

    def __init__(self, port: int) -> None:
        self.seen: list[tuple[str, bytes, bool]] = []
        self._ready = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, client_id="spy")
        self.client.on_message = self._note
        self.client.on_subscribe = lambda *_: self._ready.set()
        self.client.connect("127.0.0.1", port)
        self.client.subscribe("lab/#", qos=1)
        self.client.loop_start()
        assert self._ready.wait(10)

    def _note(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        self.seen.append((message.topic, bytes(message.payload), bool(message.retain)))

    def payloads(self, leaf: str) -> list[bytes]:
        return [payload for topic, payload, _ in list(self.seen) if topic.endswith(leaf)]

    def publish(self, topic: str, payload: bytes) -> None:
        self.client.publish(topic, payload, qos=1).wait_for_publish(10)

    def __enter__(self) -> Spy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.disconnect()
        self.client.loop_stop()
