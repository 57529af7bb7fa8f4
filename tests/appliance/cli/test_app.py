"""The one command: it offers all there is, and imports no more than what is called."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from appliance.cli.app import run


def imported(*arguments: str) -> set[str]:
    """What a process of its own has imported at the end of a command."""
    told = f"import sys; from appliance.cli.app import run; run({[*arguments]}); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    listed = re.findall(r"^│ ([a-z]+) ", capsys.readouterr().out, re.MULTILINE)
    assert listed == ["demo", "scan", "hub", "doctor", "acceptance", "bench", "engine", "calibrate", "serve", "release"]


@pytest.mark.parametrize("arguments", [["nothing"], ["--nothing"], []])
def test_what_there_is_not_is_wrong_use(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    told = capsys.readouterr()
    assert "Usage: " in told.out + told.err


def test_the_uplink_imports_nothing_of_what_scans() -> None:
    there = imported("serve", "uplink", "--help")
    assert "appliance.cli.serve_uplink" in there
    assert not there & {"cv2", "scipy", "onnxruntime", "onnx", "appliance.cli.reading", "drivers.twin.launch"}


def test_a_command_does_not_wait_for_the_others() -> None:
    there = imported("hub", "--help")
    assert "appliance.cli.hub" in there
    assert not there & {"appliance.cli.bench", "appliance.cli.engine_train", "onnxruntime"}
