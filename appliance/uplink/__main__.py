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

from appliance.errors import ApplianceError
from appliance.settings.load import load_settings
from appliance.uplink.run import run_sender


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
        run_sender(load_settings(options.settings, options.set), ended)
    except ApplianceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
