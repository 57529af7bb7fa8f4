"""A shipped package built by TensorRT on this GPU, opened, and accepted beside ONNX Runtime."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.cli.golden_fields import drawn_golden
from engines.acceptance.golden import Golden
from engines.acceptance.run import accept
from engines.building.record import PLAN, BuildRecord, load_build
from engines.building.runner import build_engine
from engines.cuda.api import CudaApi
from engines.cuda.probe import Gpu
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import EnginePackage, load_package, shipped
from engines.tensorrt.signature import FrameSize

pytestmark = pytest.mark.timeout(1800)  # a Jetson builds for minutes

FRAME = FrameSize(height_px=1208, width_px=1928)


@pytest.fixture(scope="module")
def package(gpu_here: Gpu) -> EnginePackage:
    """Skips the test where TensorRT cannot be imported."""
    asked = subprocess.run([sys.executable, "-c", "import tensorrt"], capture_output=True, text=True, check=False)
    if asked.returncode:
        why = asked.stderr.strip().splitlines() or [f"the process ended with {asked.returncode}"]
        pytest.skip(f"TensorRT cannot be imported: {why[-1]}")
    return load_package(shipped("serous"))


@pytest.fixture(scope="module")
def built(package: EnginePackage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a build."""
    place = tmp_path_factory.mktemp("built")
    out = place / "engine"
    build_engine(package, FRAME, caches=place / "caches", out=out, log=place / "build.log", progress=lambda *_: None)
    return out


@pytest.fixture(scope="module")
def golden(package: EnginePackage, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    return drawn_golden(package, FRAME, tmp_path_factory.mktemp("drawn") / "golden")


def test_an_engine_is_built_for_this_gpu_and_runs_layers_in_int8(
    built: Path, gpu_here: Gpu, record_property: Callable[[str, object], None]
) -> None:
    record: BuildRecord = load_build(built)
    assert record.gpu == gpu_here
    assert record.layers.int8 > 0
    record_property("measured", f"{record.layers}, built in {record.seconds:.0f} s by TensorRT {record.tensorrt}")


def test_the_engine_runs_as_graphs_and_is_accepted_beside_the_cpu_runtime(
    package: EnginePackage,
    built: Path,
    golden: Golden,
    gpu_here: Gpu,
    cuda: CudaApi,
    record_property: Callable[[str, object], None],
) -> None:
    from engines.tensorrt.scorer import TensorRtScorer  # noqa: PLC0415 - imports TensorRT

    scorer, reference = TensorRtScorer(package, (built / PLAN).read_bytes(), FRAME, cuda), OnnxCpuScorer(package)
    try:
        report = accept(
            scorer, package, golden, clock=time.perf_counter, reference=reference, device_class=gpu_here.name
        )
    finally:
        scorer.close()
        reference.close()
    for check in report.checks:
        record_property("measured", check.sentence)
    assert report.failures == ()
    assert ", CUDA graphs" in report.backend.runtime
