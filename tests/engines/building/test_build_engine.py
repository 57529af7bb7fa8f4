"""A whole build in its own process, and each way in which there is none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engines.building.errors import BuildStopped, NotEnough, TensorRtAbsent
from engines.building.record import PLAN, RECORD, load_build
from engines.building.resources import Resources
from engines.cuda.probe import Gpu, GpuAbsent
from engines.errors import BadPackage, EngineError, NotWritten
from engines.package import EnginePackage
from engines.tensorrt.errors import BuildFailed
from engines.tensorrt.inspection import LayerSummary

from .conftest import FRAME, ROOT, Held, Place, wait_for_end, write_package

WHOLE = ["engine", f"engine/{RECORD}", f"engine/{PLAN}"]


def test_a_build_leaves_plan_record_log_and_timing_cache(place: Place, package: EnginePackage) -> None:
    record = place.build(package, workspace_mib=512)
    assert place.left == WHOLE
    assert record == load_build(place.out)
    assert (record.package, record.version) == (package.manifest.name, package.manifest.version)
    assert (record.onnx_sha256, record.frame) == (package.manifest.onnx.sha256, FRAME)
    assert (record.gpu, record.tensorrt) == (Gpu("Orin (stands in)", "8.7", "13.4"), "10.3.0")
    assert (record.options, record.layers) == ({"workspace_mib": 512}, LayerSummary(3, 2))
    assert record.messages == ("warning: a slow layer",)
    assert json.loads((place.out / PLAN).read_bytes())["inputs"] == {"image": [1, 64, 96, 3]}
    timing = [("Timing", 0, 1), ("Timing", 1, 1)]
    assert place.told == [*timing, ("Building", 0, 2), ("Building", 1, 2), ("Building", 2, 2), ("Building", 2, 2)]
    log = place.log.read_text().splitlines()
    assert "a library prints" in log
    assert "warning: a slow layer" in log
    assert len(log) == len(place.told) + 2


def test_the_next_build_on_this_device_begins_with_the_timing_cache_of_the_last(
    place: Place, package: EnginePackage
) -> None:
    first = place.build(package)
    second = place.build(package, out=place.root / "slot" / "another")
    (cache,) = place.caches.iterdir()
    assert cache.name == "Orin-stands-in-sm8.7-tensorrt10.3.0.timing"
    assert cache.read_bytes() == b"++"
    assert first.timing_cache_sha256 != second.timing_cache_sha256


def test_what_was_built_before_is_not_built_again(place: Place, package: EnginePackage) -> None:
    record = place.build(package)
    place.tensorrt(ends_the_process=True)
    with pytest.raises(NotWritten, match="engine is not empty"):
        place.build(package)
    assert load_build(place.out) == record


def test_a_package_that_reads_tiles_is_built_for_its_tiles(place: Place, tmp_path: Path) -> None:
    tiling = {"answers": "map", "height_px": 32, "width_px": 48, "overlap_px": 0}
    record = place.build(write_package(tmp_path / "tiled", tiling=tiling))
    assert json.loads((place.out / PLAN).read_bytes())["inputs"] == {"image": [1, 32, 48, 3]}
    assert record.frame == FRAME


@pytest.mark.parametrize(
    ("behaviour", "error", "words"),
    [
        ({"build fails": "Could not infer output types for operation: dequantize"}, BuildFailed, "dequantize"),
        ({"opens nothing": True}, BuildFailed, "does not open.*magicTagRead"),
        (
            {"breaks off": True},
            BuildFailed,
            r"exit code 1 in 'Timing', 0 of 1 steps done:.*RuntimeError: out of tactics",
        ),
        ({"ends the process": True}, BuildFailed, r"signal 6, Aborted, before its first step"),
        ({"cannot be imported": True}, TensorRtAbsent, r"libnvinfer.so.10.*python3-libnvinfer"),
    ],
    ids=str,
)
def test_a_build_that_fails_says_why_and_leaves_nothing(
    place: Place, package: EnginePackage, behaviour: dict[str, Any], error: type[EngineError], words: str
) -> None:
    place.tensorrt(**behaviour)
    with pytest.raises(error, match=words):
        place.build(package)
    assert place.left == []


def test_without_a_gpu_tensorrt_is_not_touched(place: Place, package: EnginePackage) -> None:
    place.tensorrt(ends_the_process=True)
    with pytest.raises(GpuAbsent, match="no CUDA driver"):
        place.build(package, libcuda="libno-such-driver.so.1")
    assert place.left == []


def test_a_package_that_was_altered_meanwhile_is_not_built(place: Place, package: EnginePackage) -> None:
    (package.folder / package.manifest.onnx.file).write_bytes(b"onnx:image:nan")
    with pytest.raises(BadPackage, match="not the file its manifest describes"):
        place.build(package)
    assert place.left == []


def test_a_folder_that_cannot_be_written_is_named(place: Place, package: EnginePackage) -> None:
    (place.root / "slot").write_text("a file")
    with pytest.raises(NotWritten, match="slot cannot be read or written"):
        place.build(package)


def test_too_little_memory_or_disk_is_seen_before_anything_starts(place: Place, package: EnginePackage) -> None:
    with pytest.raises(NotEnough, match="MiB of memory and 1024 MiB are free"):
        place.build(package, free=Resources(1 << 30, 1 << 40))
    with pytest.raises(NotEnough, match="MiB of disk and 1 MiB are free"):
        place.build(package, free=Resources(1 << 40, 1 << 20))
    assert not place.log.exists()
    assert place.told == []


def test_a_build_that_is_asked_to_stop_stops_at_its_next_step(place: Place, package: EnginePackage, held: Held) -> None:
    def stop(phase: str, step: int, steps: int) -> None:
        place.told.append((phase, step, steps))
        if len(place.told) == 1:
            os.kill(held.pid(), signal.SIGTERM)
            held.go_on()

    with pytest.raises(BuildStopped, match="was stopped"):
        place.build(package, progress=stop)
    assert place.told == [("Timing", 0, 1), ("Timing", 1, 1)]
    assert place.left == []


def test_a_build_that_the_kernel_kills_says_where_it_was(place: Place, package: EnginePackage, held: Held) -> None:
    (place.root / "slot" / "engine.part").mkdir(parents=True)  # as where it is killed while it writes
    with pytest.raises(BuildFailed, match="killed in 'Timing', 0 of 1 steps done, as the kernel does where memory"):
        place.build(package, progress=lambda *_: os.kill(held.pid(), signal.SIGKILL))
    assert place.left == []


def test_where_nobody_wants_it_any_more_the_build_ends_at_once(
    place: Place, package: EnginePackage, held: Held
) -> None:
    building: list[int] = []

    def interrupt(*_: object) -> None:
        building.append(held.pid())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        place.build(package, progress=interrupt)
    assert wait_for_end(building[0], 0)
    assert place.left == []


def test_a_build_comes_after_the_scanner_in_turn_and_goes_before_it_where_memory_runs_out(
    place: Place, package: EnginePackage, held: Held
) -> None:
    seen: list[tuple[int, str]] = []

    def look(*_: object) -> None:
        if not seen:
            pid = held.pid()
            seen.append((os.getpriority(os.PRIO_PROCESS, pid), Path(f"/proc/{pid}/oom_score_adj").read_text()))
            held.go_on()

    place.build(package, progress=look, nice=os.getpriority(os.PRIO_PROCESS, 0) + 1)
    assert seen == [(os.getpriority(os.PRIO_PROCESS, 0) + 1, "1000\n")]


PARENT = """
import sys
from pathlib import Path
from engines.building.runner import build_engine
from engines.package import load_package
from tests.engines.building.conftest import FRAME, PLENTY

root = Path(sys.argv[1])
build_engine(
    load_package(root / "package"), FRAME, caches=root / "caches", out=root / "slot" / "engine",
    log=root / "build.log", progress=lambda *_: None, free=PLENTY, libcuda=sys.argv[2], nice=0,
)
"""


def test_a_build_ends_with_the_process_that_wanted_it_however_that_ends(
    place: Place, package: EnginePackage, held: Held
) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, str(place.root), place.libcuda]) as parent:
        building = held.pid()
        parent.kill()
        assert wait_for_end(building)
    assert place.left == []


def test_the_parent_imports_no_tensorrt() -> None:
    look = "import sys, engines.building.runner; sys.exit('tensorrt' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], cwd=ROOT, check=False).returncode == 0
