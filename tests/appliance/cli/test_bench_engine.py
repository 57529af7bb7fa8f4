"""The speed bench on the shipped network: every contender runs, and the figures are what they are said to be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.cli import bench_engine as bench
from appliance.cli.app import run
from appliance.cli.engine_process import FP32, engine_process
from appliance.cli.exits import Exit
from engines import openvino_cpu
from engines.cpu_choice import Contender
from engines.errors import EngineError
from engines.package import load_package, shipped

REWRITTEN = Contender.REWRITTEN.value


@pytest.fixture
def small_field(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(bench, "FIELD_PX", (302, 484))
    path = tmp_path / "field.npy"
    np.save(path, bench.synthetic_field(1))
    return path


def test_the_field_is_full_size_repeatable_and_busy() -> None:
    field = bench.synthetic_field(3)
    assert field.shape == (1208, 1928, 3)
    assert field.dtype == np.uint8
    assert np.array_equal(field, bench.synthetic_field(3))
    assert not np.array_equal(field, bench.synthetic_field(4))
    assert float(field.std()) > 15


@pytest.mark.slow
@pytest.mark.usefixtures("small_field")
def test_the_whole_bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "engine.json"
    assert run(["bench", "engine", "--assay", "afb", "--rounds", "3", "--json", str(target)]) == Exit.VERDICT
    figures = json.loads(target.read_text())
    afb = figures["assays"]["afb"]
    times, ours = afb["ms_1_thread"], afb["runtime"]
    assert afb["int8_vs_fp32_1_thread"] == pytest.approx(times[FP32] / times[ours])
    assert figures["int8_vs_fp32_1_thread"] == afb["int8_vs_fp32_1_thread"] > 1
    assert figures["ms_per_field_2_threads"] == afb["wall_ms_2_threads"][ours] > 0
    assert figures["peak_mb"] == afb["peak_mb_by_runtime"][ours]
    assert 30 < figures["peak_mb"] < 400
    if openvino_cpu.installed():
        assert afb["int8_vs_openvino_1_thread"] == pytest.approx(times["openvino"] / times[ours])
    else:
        assert figures["int8_vs_openvino_1_thread"] is None
        assert "OpenVINO is not installed" in capsys.readouterr().err


def test_a_process_tells_times_findings_and_its_own_peak(small_field: Path) -> None:
    folder = shipped("afb")
    scale = load_package(folder).manifest.scale.native_um_per_px
    with engine_process(REWRITTEN, folder, small_field, scale, 1) as process:
        process.wait_until_ready()
        runs = [process.measure() for _ in range(2)]
        peak_mb = process.peak_mb()
    assert all(r.cpu_s > 0 for r in runs)
    assert runs[0].findings == runs[1].findings
    assert 30 < peak_mb < 400


def test_the_peak_is_not_that_of_the_parent(small_field: Path) -> None:
    folder = shipped("afb")
    ballast = np.ones(120_000_000, np.float32)
    with engine_process(REWRITTEN, folder, small_field, 0.1465, 1) as process:
        assert process.peak_mb() < ballast.nbytes / 2**20


def test_a_contender_that_cannot_run_is_told(small_field: Path, tmp_path: Path) -> None:
    bad = engine_process(REWRITTEN, tmp_path, small_field, 0.1465, 1)
    with bad as process, pytest.raises(EngineError, match=r"manifest\.yaml is missing"):
        process.wait_until_ready()


def test_the_worst_assay_stands_at_the_top() -> None:
    assert bench._worst("int8_vs_fp32_1_thread", [3.0, 2.0]) == 2.0
    assert bench._worst("peak_mb", [300.0, 200.0]) == 300.0
    assert bench._worst("int8_vs_openvino_1_thread", [1.0, None]) is None


def test_an_engine_without_its_assay_is_refused(tmp_path: Path) -> None:
    assert run(["bench", "engine", "--engine", str(tmp_path)]) == Exit.USAGE


def test_runs_make_medians() -> None:
    runs = [bench.Run(wall, cpu, 1) for wall, cpu in ((0.1, 0.2), (0.3, 0.1), (9.0, 0.3))]
    measured = bench.Measured(runs, 100.0)
    assert (measured.wall_ms, measured.cpu_ms) == (300.0, 200.0)
    assert replace(measured, runs=runs[:1]).wall_ms == 100.0
