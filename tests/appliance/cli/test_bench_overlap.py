"""`bench overlap`: time that is slept is real, and a network that takes longer than the way to a field cannot hide."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.cli import bench_overlap as bench
from appliance.cli import repeated_scan
from appliance.cli.app import run
from appliance.cli.repeated_scan import FindsNothing
from drivers.twin.virtual import PacedClock
from engines.scorer import Detections

from .test_bench_focus import strange_curve


class Slow(FindsNothing):
    """A network that takes this long and no processor."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def begin(self, image: NDArray[np.uint8], um_per_px: float) -> Detections:
        time.sleep(self._seconds)
        return super().begin(image, um_per_px)


def overlap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float) -> dict[str, float]:
    """One small field drawn in this process, at heights near enough together for frames to be compared."""

    @contextmanager
    def slow(*_: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(package=SimpleNamespace(title="slow"), scorer=Slow(seconds))

    monkeypatch.setattr(bench, "scorer", slow)
    monkeypatch.setattr(repeated_scan, "_RUNGS_DOF", (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0, 9.0))
    monkeypatch.setattr(repeated_scan, "_FIELDS", 1)
    monkeypatch.setattr(repeated_scan, "_elsewhere", lambda work, *args: work(*args))
    small = ("camera.width_px=448", "camera.height_px=416", "slide.clutter.dust_per_mm2=0")
    code = run(
        ["bench", "overlap", "--fields", "12", "--rounds", "1", "--seed", "31"]
        + ["--curve", str(strange_curve(tmp_path / "curve.npz"))]
        + [part for setting in small for part in ("--twin-set", setting)]
        + ["--json", str(tmp_path / "overlap.json")]
    )
    assert code == 0
    found: dict[str, float] = json.loads((tmp_path / "overlap.json").read_text())
    return found


def test_a_network_that_takes_longer_than_a_field_makes_the_scan_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = overlap(tmp_path, monkeypatch, 0.8)
    assert found["scoring_seconds_per_field"] >= 0.8
    assert found["seconds_per_field_with"] >= 0.8
    added_s = found["seconds_per_field_with"] - found["seconds_per_field_without"]
    assert found["added_seconds_per_field"] == pytest.approx(added_s)
    assert found["hidden"] == pytest.approx(1 - added_s / found["scoring_seconds_per_field"])
    assert found["hidden"] < 0.8


def test_paced_time_is_slept_and_what_is_computed_passes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(time, "sleep", sleep)
    clock = PacedClock()
    now[0] += 0.25  # the host computes
    with clock.simulating():
        clock.wait_until(1.0)
        now[0] += 5.0  # drawing is no time of the scan
    assert slept == [0.75]
    assert (clock.now_s, clock.waited_s, clock.host_s) == pytest.approx((1.0, 0.75, 0.25))
    now[0] += 0.5
    with clock.simulating():
        clock.wait_until(1.2)
    assert slept == [0.75, 0.0]
    assert clock.now_s == pytest.approx(1.5)
