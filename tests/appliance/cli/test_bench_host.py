"""`bench host`: processor time is split without gap or overlap, and a small scan of drawn fields really runs."""

from __future__ import annotations

import itertools
import json
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from appliance.cli import bench_host as bench
from appliance.cli import repeated_scan
from appliance.cli.app import run
from appliance.cli.exits import Exit
from appliance.cli.processor_ledger import Ledger
from drivers.camera.frame import CameraInfo, PixelFormat

from .test_bench_focus import strange_curve


class Clock:
    """Processor time of each thread, set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._own = threading.local()
        monkeypatch.setattr(time, "thread_time", lambda: getattr(self._own, "now_s", 0.0))

    def spend(self, seconds: float) -> None:
        self._own.now_s = time.thread_time() + seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_a_call_inside_another_is_its_own_parts_alone(clock: Clock) -> None:
    work = SimpleNamespace()
    work.inner = lambda: clock.spend(2.0)

    def outer() -> str:
        clock.spend(1.0)
        work.inner()
        clock.spend(4.0)
        return "done"

    work.outer = outer
    ledger = Ledger(("outside", "inside", "rest"), "rest")
    with ledger.watching([(work, "outer", "outside"), (work, "inner", "inside")]):
        assert work.outer() == "done"
        clock.spend(8.0)
        ledger.close_row()
        work.inner()
        ledger.close_row()
    assert work.outer is outer
    found = {part: values.tolist() for part, values in ledger.rows().items()}
    assert found == {"outside": [5.0, 0.0], "inside": [2.0, 2.0], "rest": [8.0, 0.0]}


def test_a_call_that_raises_is_accounted_and_raises(clock: Clock) -> None:
    def fails() -> None:
        clock.spend(3.0)
        raise ValueError("no")

    work = SimpleNamespace(fails=fails)
    ledger = Ledger(("trouble", "rest"), "rest")
    with ledger.watching([(work, "fails", "trouble")]):
        with pytest.raises(ValueError, match="no"):
            work.fails()
        clock.spend(1.0)
        ledger.close_row()
    assert ledger.rows()["trouble"].tolist() == [3.0]
    assert ledger.rows()["rest"].tolist() == [1.0]


def test_threads_have_accounts_of_their_own_that_add_up(clock: Clock) -> None:
    work = SimpleNamespace(step=lambda: clock.spend(1.0))
    ledger = Ledger(("step", "rest"), "rest")

    def twice() -> None:
        for _ in range(2):
            work.step()
            ledger.close_row()

    with ledger.watching([(work, "step", "step")]):
        other = threading.Thread(target=twice)
        other.start()
        other.join()
        twice()
        assert ledger.rows()["step"].tolist() == [2.0, 2.0]
        ledger.forget()
        twice()
    assert ledger.rows()["step"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("fields", [7, 100, 1000, 10_000])
def test_plans_of_all_lengths_have_the_same_ways_between_fields_and_fit_the_stage(fields: int) -> None:
    camera = CameraInfo("any", "1", 1928, 1208, PixelFormat.BAYER_RG8, 24.0)
    plan = repeated_scan.neighbouring_fields(camera, 0.293, fields)
    assert len(plan.fields) == fields
    for low, high, values in ((0, 80_000, [f.x_um for f in plan.fields]), (0, 30_000, [f.y_um for f in plan.fields])):
        assert low < min(values) < max(values) < high
    steps = [abs(one.x_um - other.x_um) for one, other in itertools.pairwise(plan.fields) if one.y_um == other.y_um]
    assert steps == pytest.approx([0.8 * 1928 * 0.293] * len(steps), abs=0.01)


def test_a_small_scan_is_measured_part_by_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One field drawn at fewer heights, and in this process."""
    monkeypatch.setattr(repeated_scan, "_RUNGS_DOF", (0.5, 1.0, 2.0, 4.0, 9.0))
    monkeypatch.setattr(repeated_scan, "_FIELDS", 1)
    monkeypatch.setattr(repeated_scan, "_elsewhere", lambda work, *args: work(*args))
    small = ("camera.width_px=448", "camera.height_px=416", "slide.clutter.dust_per_mm2=0")
    code = run(
        ["bench", "host", "--fields", "16,9", "--seed", "31", "--curve", str(strange_curve(tmp_path / "curve.npz"))]
        + [part for setting in small for part in ("--twin-set", setting)]
        + ["--json", str(tmp_path / "host.json")]
    )
    assert code == 0
    found = json.loads((tmp_path / "host.json").read_text())
    assert found["curve"] == {"from": "file"}
    assert [row["fields"] for row in found["lengths"]] == [9, 16]
    for row in found["lengths"]:
        assert sum(row["outcomes"].values()) == row["fields"]
        assert row["exposures_per_field"] >= 1
        assert set(row["mean_ms"]) == set(row["median_ms"]) == set(bench.PARTS)
        assert sum(row["mean_ms"].values()) == pytest.approx(row["host_ms_per_field"])
        assert all(row["mean_ms"][part] >= 0 for part in bench.PARTS)
        for part in ("measure", "content", "bands", "judge", "surface_predict", "colour", "quality", "journal"):
            assert 0 < row["mean_ms"][part] < row["host_ms_per_field"], part
        assert 0 <= row["journal_bytes_per_field"] < 40_000
        assert row["peak_memory_mb"] > 10


@pytest.mark.parametrize("wrong", ["", "ten", "100,0", "100;1000"])
def test_lengths_that_are_no_numbers_of_fields_are_refused(wrong: str) -> None:
    assert run(["bench", "host", "--fields", wrong]) == Exit.USAGE
