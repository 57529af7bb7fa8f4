"""The hub as a command runs it: until it is told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from appliance.errors import ApplianceError
from appliance.hub.hub import Hub, OnVerdict, hub_options
from appliance.hub.store import HubStore


def run_hub(
    host: str,
    port: int,
    protocol: str,
    store: Path,
    on_verdict: OnVerdict,
    *,
    stop: threading.Event | None = None,
    on_change: Callable[[str], None] | None = None,
) -> None:
    """Receive until `stop` is set, or Ctrl-C.

    protocol: "5" or "3.1.1". store: SQLite file. on_verdict: called for each verdict taken for the first time.
    on_change: called with what keeps the hub from receiving, and with an empty text when it listens again.
    Raises JournalError when the store cannot be opened, ApplianceError when the hub stops by a fault.
    """
    stop = stop or threading.Event()
    with HubStore.open(store) as opened:
        hub = Hub(opened, hub_options(host, port, protocol), on_verdict)
        hub.start()
        told: str | None = None
        try:
            while not stop.wait(0.2):
                if not hub.alive:
                    raise ApplianceError(
                        hub.problem, safe="What was taken is kept.", remedy="Start the hub again and report this text."
                    )
                told = _tell(hub, told, on_change)
        finally:
            hub.stop()


def _tell(hub: Hub, told: str | None, on_change: Callable[[str], None] | None) -> str | None:
    now = hub.problem
    if on_change is None or now == told or not (now or hub.wait_ready(0)):
        return told
    on_change(now)
    return now
