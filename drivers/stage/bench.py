"""How much later than the hardware itself `Stage.wait` knows that a move has ended.

`python -m drivers.stage.bench` starts the twin's stage as a process of its own and measures against that;
`--port` measures a stage that is there. Prints one line per kind of move: median and 95th percentile of the time from
start to the last idle axis, minus the time that speeds and accelerations of the controller make necessary.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from drivers.stage.model import Move, MoveTimes
from drivers.stage.opening import open_stage
from drivers.stage.settings import standard_stage
from drivers.stage.stage import Stage

_START_UM = (30_000.0, 10_000.0, 2_990.0)
Steps = Callable[[Stage, int], Move]


@contextmanager
def _twin_port(*, wire_time: bool) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="cytoscan-") as run_dir:
        command = [sys.executable, "-m", "drivers.twin.stage_only", "--run-dir", run_dir]
        process = subprocess.Popen(
            [*command, "--wire-time"] if wire_time else command, stdout=subprocess.PIPE, text=True
        )
        try:
            yield json.loads(process.stdout.readline() if process.stdout else "{}")["port"]
        finally:
            process.terminate()
            process.wait(10)


def _field(stage: Stage, index: int) -> Move:
    """The next field: X by one field width, Z by a few tenths to a few µm."""
    return stage.move(x_um=_START_UM[0] + 565 * (index % 20), z_um=_START_UM[2] + 10 + 3 * np.sin(index))


def _row(stage: Stage, index: int) -> Move:
    return stage.move(y_um=_START_UM[1] + 354 * (index % 20))


def _z_step(stage: Stage, index: int) -> Move:
    return stage.move(z_um=_START_UM[2] + 20 + 3 * (index % 20))


def measure(stage: Stage, steps: Steps, count: int) -> list[tuple[Move, MoveTimes]]:
    """Make `count` moves and wait for each; moves that go back to the beginning are left out."""
    done = []
    for index in range(count):
        move = steps(stage, index)
        times = stage.wait(move)
        if index % 20:
            done.append((move, times))
    return done


def _report(name: str, done: list[tuple[Move, MoveTimes]]) -> str:
    over_ms = 1e3 * np.array([times.move_s - move.motion_s for move, times in done])
    needed_ms = 1e3 * float(np.median([move.motion_s for move, _ in done]))
    median, high = np.percentile(over_ms, [50, 95])
    return (
        f"{name:<12} {len(done):>5} moves of {needed_ms:6.1f} ms: overhead median {median:5.2f} ms, p95 {high:5.2f} ms"
    )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m drivers.stage.bench", description=__doc__)
    parser.add_argument("--port", help="measure this stage instead of the twin's (it will be homed and moved!)")
    parser.add_argument("--moves", type=int, default=100, help="moves of each kind")
    parser.add_argument("--wire-time", action="store_true", help="let the twin's bytes take their time at 115200 baud")
    args = parser.parse_args()
    if args.port:
        _run(args.port, args.moves)
    else:
        with _twin_port(wire_time=args.wire_time) as port:
            _run(port, args.moves)
    return 0


def _run(port: str, moves: int) -> None:
    with open_stage(standard_stage(port)) as stage:
        stage.home()
        stage.move_and_wait(*_START_UM)
        kinds: dict[str, Steps] = {"next field": _field, "next row": _row, "z step": _z_step}
        for name, steps in kinds.items():
            sys.stdout.write(_report(name, measure(stage, steps, moves)) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
