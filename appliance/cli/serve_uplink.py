"""`cytoscan serve uplink`: what brings the journal's messages to the hub, as a service of systemd."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import closing

from appliance.cli.options import Overrides, SettingsFile
from appliance.cli.signals import stop_on_signal
from appliance.service.notify import Notifier, Pulse
from appliance.settings import load_settings
from appliance.uplink import SenderStatus
from appliance.uplink.run import run_sender


def uplink(settings_file: SettingsFile = None, overrides: Overrides = None) -> None:
    """Bring what stands in the journal to the hub. Ends by SIGTERM; what is unsent stays in the journal."""
    notifier = Notifier.from_environment(os.environ, os.getpid())
    settings = load_settings(settings_file, overrides or [])
    with stop_on_signal() as end, closing(notifier):
        if settings.uplink.enabled:
            run_sender(settings, end, _sender_watch(notifier))
        else:
            # Where the settings say so this is no fault, which an end before READY=1 would be.
            notifier.ready("switched off in the settings")
        notifier.stopping("ending")


def _sender_watch(notifier: Notifier) -> Callable[[SenderStatus], None]:
    """Ready at the first call; the watchdog is fed by each, which comes only as long as the sender's thread lives."""
    pulse = Pulse(notifier, time.monotonic)
    started = threading.Event()

    def watch(status: SenderStatus) -> None:
        text = status.last_problem or ("connected" if status.connected else "connecting")
        if not started.is_set():
            started.set()
            notifier.ready(text)
        pulse.turn(text)

    return watch
