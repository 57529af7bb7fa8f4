"""A broker inside this process, for the demo: MQTT 3.1.1, on the loopback address, nothing kept.

It speaks no MQTT 5 and keeps no messages for absent clients; a laboratory runs mosquitto.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from contextlib import suppress
from types import TracebackType

from amqtt.broker import Broker
from amqtt.errors import BrokerError

from appliance.errors import ApplianceError

_HOST = "127.0.0.1"
_START_TRIES = 5
_START_TIMEOUT_S = 10.0
_SHUTDOWN_TIMEOUT_S = 2.0


class EmbeddedBroker:
    """A broker on a thread of its own."""

    def __init__(self, port: int | None = None) -> None:
        """Prepare. port: to listen on; None takes a free one, which `port` names after the start."""
        self.host = _HOST
        self.port = port or 0
        self._wanted = port
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._failure = ""
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)

    def start(self) -> None:
        """Start, and return when it listens on `port`. Raises ApplianceError."""
        for name in ("amqtt", "transitions"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # it logs each lost client as an error
        self._thread.start()
        if not self._started.wait(_START_TIMEOUT_S) or self._failure:
            raise ApplianceError(
                f"The embedded broker does not start ({self._failure or 'no answer'}).",
                remedy="Name a broker of your own in uplink.host and uplink.port.",
            )

    def stop(self, timeout_s: float = 10.0) -> None:
        """Close all connections and end the thread; safe to call twice."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(timeout_s)

    def __enter__(self) -> EmbeddedBroker:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except (BrokerError, OSError) as error:
            self._failure = str(error)
        finally:
            self._started.set()
            self._loop.close()

    async def _serve(self) -> None:
        broker = await self._listening()
        self._started.set()
        await self._stop.wait()
        # From Python 3.12 on, a listener waits for its last connection, and amqtt forgets some: do not wait for those.
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(broker.shutdown(), _SHUTDOWN_TIMEOUT_S)
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _listening(self) -> Broker:
        tries = _START_TRIES if self._wanted is None else 1
        for attempt in range(1, tries + 1):
            self.port = self._wanted or _free_port()
            broker = Broker(
                {
                    "listeners": {"default": {"type": "tcp", "bind": f"{_HOST}:{self.port}"}},
                    "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
                }
            )
            try:
                await broker.start()
            except BrokerError:
                if attempt == tries:  # otherwise somebody was quicker to take the port
                    raise
            else:
                return broker
        raise BrokerError("no free port")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])
