"""The sender as a process runs it: until it is told to end."""

from __future__ import annotations

import threading
from collections.abc import Callable

from appliance import __version__
from appliance.errors import ApplianceError
from appliance.messages.topics import Topics
from appliance.settings.model import Settings
from appliance.uplink.sender import Sender
from appliance.uplink.traffic import SenderStatus

_LOOK_S = 0.5


def _nothing(_: SenderStatus) -> None:
    return


def run_sender(settings: Settings, end: threading.Event, watch: Callable[[SenderStatus], None] = _nothing) -> None:
    """Send the journal's messages until `end` is set.

    watch: called when the sender has started, and then twice a second as long as its thread lives.
    Raises JournalError when the sender cannot start, ApplianceError when it stops by a fault.
    """
    topics = Topics(settings.site, settings.device)
    sender = Sender(topics, settings.uplink, settings.journal.path, app_version=__version__)
    sender.start()
    try:
        while (status := sender.status()).alive:
            watch(status)
            if end.wait(_LOOK_S):
                return
        raise ApplianceError(
            status.last_problem,
            safe="Unsent messages are kept in the journal.",
            remedy="Start the sender again, and report this text.",
        )
    finally:
        sender.stop()
