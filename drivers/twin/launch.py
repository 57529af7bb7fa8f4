"""Starting the twin's process from a command or a test, and ending it with it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from drivers.errors import DeviceError
from drivers.twin.settings import TwinSettings

_READY_S = 60.0
_END_S = 10.0
_LOG_TAIL = 2000
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""The twin stands beside the program under test and must not take its cores."""


class TwinNotStarted(DeviceError):
    """The twin's process ended, or said nothing, before it was ready."""


@dataclass(frozen=True)
class Calibration:
    """What commissioning finds out about the optics."""

    um_per_px: float
    na: float
    magnification: int


@dataclass(frozen=True)
class Box:
    """Where the specimen lies on the slide, in stage µm."""

    x_um: float
    y_um: float
    width_um: float
    height_um: float


class TwinProcess:
    """`python -m drivers.twin` as a subprocess, from entering the context until leaving it.

    Its settings, log and sockets are in `run_dir`. It also ends when this process does, however that happens.
    """

    def __init__(self, settings: TwinSettings, run_dir: Path, *, truth: Path | None = None) -> None:
        self._settings = settings
        self._run_dir = run_dir.absolute()
        self._truth = truth
        self._process: subprocess.Popen[bytes] | None = None
        self._ready: dict[str, Any] = {}

    def start(self) -> TwinProcess:
        """Start and wait until port and camera answer. Raises TwinNotStarted with the end of the twin's log."""
        self._run_dir.mkdir(parents=True, exist_ok=True)
        settings_path, log_path = self._run_dir / "twin.yaml", self._run_dir / "twin.log"
        settings_path.write_text(yaml.safe_dump(self._settings.model_dump(mode="json")), encoding="utf-8")
        command = [sys.executable, "-m", "drivers.twin", "--until-stdin-closes"]
        command += ["--settings", str(settings_path), "--run-dir", str(self._run_dir)]
        if self._truth is not None:
            command += ["--truth", str(self._truth.absolute())]
        root = str(Path(__file__).resolve().parents[2])
        known = os.environ.get("PYTHONPATH")
        environment = {**os.environ, **_ONE_THREAD, "PYTHONPATH": f"{root}{os.pathsep}{known}" if known else root}
        with log_path.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment
            )
        line = self._first_line(self._process)
        try:
            self._ready = json.loads(line)
        except ValueError as error:
            self.close()
            said = log_path.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:].strip()
            raise TwinNotStarted(
                f"The twin did not start: {said or 'it said nothing'}.", remedy=f"See {log_path}."
            ) from error
        return self

    def _first_line(self, process: subprocess.Popen[bytes]) -> bytes:
        """What the process prints first; empty when it ends or takes too long."""
        if process.stdout is None:
            return b""
        ready, _, _ = select.select([process.stdout], [], [], _READY_S)
        return process.stdout.readline() if ready else b""

    @property
    def pid(self) -> int:
        """The process's id, 0 when it does not run."""
        return 0 if self._process is None else self._process.pid

    @property
    def port(self) -> str:
        """The stage's serial port."""
        return str(self._ready["port"])

    @property
    def camera(self) -> str:
        """The camera's address, for `drivers.camera.twin.TwinCamera`."""
        return str(self._ready["camera"])

    @property
    def calibration(self) -> Calibration:
        """Scale and aperture."""
        return Calibration(**self._ready["calibration"])

    @property
    def specimen(self) -> Box:
        """The specimen's box on the slide."""
        return Box(**self._ready["specimen"])

    @property
    def reference_z_um(self) -> float:
        """Stage height at which an even slide would be in focus."""
        return float(self._ready["reference_z_um"])

    def close(self) -> None:
        """End the process; safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()

    def __enter__(self) -> TwinProcess:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()
