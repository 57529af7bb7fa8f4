"""The twin's stage alone, as a process: `python -m drivers.twin.stage_only --run-dir DIR`.

Prints one JSON line with the port when it answers, and ends on SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from drivers.twin.mechanics import MechanicsSettings
from drivers.twin.pty_port import LineSettings
from drivers.twin.stage_twin import StageTwin


def serve(run_dir: Path, mechanics: MechanicsSettings, line: LineSettings) -> int:
    """Run until a signal comes."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with StageTwin(run_dir, mechanics, line=line) as stage:
        sys.stdout.write(json.dumps({"ready": True, "port": stage.path}) + "\n")
        sys.stdout.flush()
        ended.wait()
    return 0


def main() -> int:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m drivers.twin.stage_only", description=__doc__)
    parser.add_argument("--run-dir", type=Path, required=True, help="the port appears here as 'stage'")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--harsh", action="store_true", help="double every mechanical error")
    parser.add_argument("--wire-time", action="store_true", help="let bytes take their time at 115200 baud")
    parser.add_argument("--drop", type=float, default=0.0, help="chance that a reply is lost")
    args = parser.parse_args()
    mechanics = MechanicsSettings(seed=args.seed)
    line = LineSettings(seed=args.seed, wire_time=args.wire_time, drop=args.drop)
    return serve(args.run_dir, mechanics.harsh() if args.harsh else mechanics, line)


if __name__ == "__main__":
    raise SystemExit(main())
