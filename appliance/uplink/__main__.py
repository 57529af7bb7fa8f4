"""The sender as a process of its own: `python -m appliance.uplink --settings FILE`.

Ends with 0 on SIGTERM or SIGINT; with 1, and a reason on stderr, when it cannot start or stops by a fault.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from appliance import __version__
from appliance.errors import ApplianceError
from appliance.messages.topics import Topics
from appliance.settings.load import load_settings
from appliance.uplink.sender import Sender


def main(arguments: Sequence[str] | None = None) -> int:
    """Send until a signal comes; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m appliance.uplink", description="Send the journal's messages.")
    parser.add_argument("--settings", type=Path, help="YAML file; without it, the defaults")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override one setting")
    options = parser.parse_args(arguments)
    ended = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    try:
        settings = load_settings(options.settings, options.set)
        topics = Topics(settings.site, settings.device)
        sender = Sender(topics, settings.uplink, settings.journal.path, app_version=__version__)
        sender.start()
    except ApplianceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    while not ended.wait(0.5) and sender.status().alive:
        continue
    fault = not ended.is_set()
    sender.stop()
    if fault:
        sys.stderr.write(f"{sender.status().last_problem}\n")
    return int(fault)


if __name__ == "__main__":
    sys.exit(main())
