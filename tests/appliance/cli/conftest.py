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

from tests.appliance.cli.engine_site import ABSENT, Site, put_gpu
from tests.appliance.update.small import Engine, make_engine


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


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A small one, version 1.2.3."""
    return make_engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture
def newer(engine: Engine, tmp_path: Path) -> Engine:
    """The same as version 2.0.0."""
    return engine.version(tmp_path / "newer", "2.0.0")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A device without a GPU, whose optics suit the small engine and a shipped one."""
    put_gpu(monkeypatch, ABSENT)
    region = "scan.region={x_um: 38000, y_um: 13000, width_um: 20000, height_um: 10000}"
    return Site(tmp_path / "device", settings=["optics.um_per_px=0.16", "scan.fields=4", region])
