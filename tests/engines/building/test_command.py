"""`python -m engines.building` by itself: what it prints and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys

import engines.building.__main__ as command
from engines.building.errors import BuildStopped
from engines.building.exits import ERRORS, Exit, exit_for
from engines.package import EnginePackage

from .conftest import Place


def run(place: Place, package: EnginePackage, *more: str) -> subprocess.CompletedProcess[str]:
    order = [sys.executable, "-m", "engines.building", "--package", str(package.folder), "--height", "64"]
    order += ["--width", "96", "--workspace-mib", "64", "--caches", str(place.caches), "--out", str(place.out)]
    order += ["--nice", "0", "--libcuda", place.libcuda, *more]
    return subprocess.run(order, capture_output=True, text=True, check=False)


def test_progress_is_on_standard_output_and_messages_on_standard_error(place: Place, package: EnginePackage) -> None:
    done = run(place, package)
    printed, *told = done.stdout.splitlines()
    assert (done.returncode, printed) == (Exit.BUILT, "a library prints")
    assert [json.loads(line) for line in told][-1] == {"phase": "Building", "step": 2, "steps": 2}
    assert done.stderr == "warning: a slow layer\n"


def test_why_there_is_no_engine_is_said_last_and_by_the_exit_code(place: Place, package: EnginePackage) -> None:
    done = run(place, package, "--libcuda", "libno-such-driver.so.1")
    assert done.returncode == Exit.NO_GPU
    assert json.loads(done.stdout)["what"].startswith("There is no CUDA driver here")
    assert run(place, package, "--height", "tall").returncode == 2


def test_each_exit_code_is_documented_and_stands_for_one_error() -> None:
    assert command.__doc__ is not None
    for code in Exit:
        assert f" {int(code)} " in command.__doc__, code.name
        assert code is Exit.BUILT or exit_for(ERRORS[code]("What.", remedy="Remedy.")) is code
    assert exit_for(BuildStopped("What.", remedy="Remedy.")) is Exit.STOPPED
