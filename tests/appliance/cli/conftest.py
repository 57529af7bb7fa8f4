"""The command, run as a person runs it, on small slides of the twin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Ran:
    """A finished command. result: what `--json` wrote, empty without."""

    code: int
    out: str
    err: str
    result: Mapping[str, object]


SMALL = ("--twin-set", "camera.width_px=960", "--twin-set", "camera.height_px=604")
"""A quarter of the sensor: everything is the same but the time it takes."""


def command(*arguments: str) -> list[str]:
    """The installed command's own entry, so that it can also be run where scripts are not on the path."""
    return [sys.executable, "-c", "from appliance.cli.app import main; main()", *arguments]


@pytest.fixture
def cytoscan(tmp_path: Path) -> Callable[..., Ran]:
    """Run `cytoscan` with arguments in an empty folder; `--json result.json` is read back."""

    def run(*arguments: str, timeout_s: float = 110) -> Ran:
        environment = {**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command(*arguments),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env=environment,
            check=False,
        )
        path = tmp_path / "result.json"
        return Ran(done.returncode, done.stdout, done.stderr, json.loads(path.read_text()) if path.exists() else {})

    return run
