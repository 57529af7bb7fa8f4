"""`engines.runtimes.GpuRuntime` has engines built in a child, and leaves nothing of a build but cache and log."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from engines import runtimes
from engines.building.record import PLAN, RECORD
from engines.building.runner import build_engine
from engines.cuda.probe import probe
from engines.fingerprint import Build
from engines.package import EnginePackage
from engines.runtimes import GpuRuntime
from engines.tensorrt.errors import BuildFailed

from .conftest import FRAME, PLENTY, Place


@pytest.fixture
def runtime(place: Place, monkeypatch: pytest.MonkeyPatch) -> GpuRuntime:
    here = partial(build_engine, free=PLENTY, libcuda=place.libcuda, nice=0)
    monkeypatch.setattr(runtimes, "build_engine", here)
    return GpuRuntime(probe(place.libcuda), lambda: FRAME, place.root / "device", workspace_mib=64)


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_it_gives_plan_and_record_and_knows_them_again(
    runtime: GpuRuntime, package: EnginePackage, place: Place
) -> None:
    killed = place.root / "device" / "building"
    killed.mkdir(parents=True)
    (killed / PLAN).write_bytes(b"half")  # of a build that was killed
    files = runtime.build(package, lambda *step: place.told.append(step))
    assert files.keys() == {PLAN, RECORD}
    assert place.told
    engine = place.root / "engine"
    engine.mkdir()
    for name, data in files.items():
        (engine / name).write_bytes(data)
    built = runtime.build_of(engine)
    assert isinstance(built, Build)
    assert built.tensorrt == "10.3.0"
    assert left(place.root / "device") == {"timing-caches", f"build-{package.manifest.name}.log"}


def test_a_build_that_fails_leaves_its_log_only(runtime: GpuRuntime, package: EnginePackage, place: Place) -> None:
    place.tensorrt(build_fails="out of tactics")
    with pytest.raises(BuildFailed):
        runtime.build(package, lambda *_: None)
    assert left(place.root / "device") == {f"build-{package.manifest.name}.log"}
