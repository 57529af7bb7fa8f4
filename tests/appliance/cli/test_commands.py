"""`cytoscan demo`, `doctor`, `hub` and `bench`, as a person runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from appliance.cli.exits import Exit
from tests.appliance.cli.conftest import Ran, command


def test_the_demo_brings_two_verdicts_to_the_hub_and_leaves_two_reports(
    cytoscan: Callable[..., Ran], tmp_path: Path
) -> None:
    ran = cytoscan("demo", "--fields", "3")
    assert ran.code == 0, ran.out + ran.err
    assert "2 verdicts received by the hub" in ran.out
    for slide in ("serous", "sputum"):
        assert "<html" in (tmp_path / "build/demo" / slide / "report.html").read_text()
        result = json.loads((tmp_path / "build/demo" / slide / "result.json").read_text())
        assert result["receipt"] == "accepted"
    listed = cytoscan("hub", "--list", "--store", "build/demo/hub.sqlite")
    assert "DEMO-26-0001" in listed.out
    assert "DEMO-26-0002" in listed.out


def test_doctor_finds_nothing_wrong_with_the_twin(cytoscan: Callable[..., Ran]) -> None:
    ran = cytoscan("doctor", "--twin", "--json", "result.json")
    assert ran.code == 0, ran.out + ran.err
    names = [check["name"] for check in ran.result["checks"]]
    assert names[:4] == ["port", "controller", "limits", "camera"]
    assert {"engine afb", "engine serous", "journal", "disk", "broker", "clock"} <= set(names)


def test_doctor_names_each_fault_with_its_remedy(cytoscan: Callable[..., Ran]) -> None:
    uplink = "uplink={host: 127.0.0.1, port: 1}"
    ran = cytoscan("doctor", "--set", "stage.port=/dev/no-such-port", "--set", uplink, "--json", "result.json")
    assert ran.code == Exit.CHECKS_FAILED
    failed = {check["name"]: check for check in ran.result["checks"] if not check["ok"]}
    assert {"port", "camera", "broker"} <= set(failed)
    assert all(check["remedy"] for check in failed.values())


def _children(pid: int) -> set[int]:
    try:
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except FileNotFoundError:
        return set()


def _runs(pid: int) -> bool:
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())  # empty once it has ended and waits to be buried
    except FileNotFoundError:
        return False


def test_a_killed_bench_leaves_nobody_behind(tmp_path: Path) -> None:
    bench = subprocess.Popen(command("bench", "verdict", "--fields", "500"), cwd=tmp_path, stderr=subprocess.DEVNULL)
    workers: set[int] = set()
    deadline = time.monotonic() + 60
    while len(workers) < 2 and time.monotonic() < deadline:  # the tracker of shared resources, and at least one reader
        time.sleep(0.1)
        workers = _children(bench.pid)
    assert len(workers) >= 2
    bench.kill()
    bench.wait()
    while any(map(_runs, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    left = list(filter(_runs, workers))
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def test_bench_scan_gives_the_figures_it_promises(cytoscan: Callable[..., Ran]) -> None:
    ran = cytoscan("bench", "scan", "--slides", "1", "--fields", "5", "--seed", "901", "--json", "result.json")
    assert ran.code == 0, ran.err
    figures = ran.result
    assert figures["fields"] == 5
    assert set(figures["seconds_per_field"]) == {"move", "settle", "focus", "expose", "score", "host"}
    assert figures["exposures_per_field"] >= 1
    assert 0 < figures["exposures_per_field_without_survey"] < figures["exposures_per_field"]
    assert 0 < figures["efficiency"] <= 1.05
    assert figures["peak_memory_mb"] < 700
    assert figures["focus"]["fields"] == 5
    assert figures["focus"]["mean_abs_um"] < figures["dof_um"]
