"""Which engine reads a slide on this device, and on which runtime."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from appliance.cli.exits import Exit
from appliance.cli.scoring import engine_folder, scorer
from appliance.errors import SettingsError
from engines import runtimes
from engines.building.record import PLAN, RECORD, BuildRecord
from engines.fingerprint import Build
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import EnginePackage, load_package, shipped
from engines.tensorrt.inspection import LayerSummary
from engines.tensorrt.signature import FrameSize, signature
from tests.appliance.cli.engine_site import ABSENT, AFB, Site, in_use, install, put_gpu
from tests.appliance.update.small import (
    BUILD,
    ORIN,
    CountingRuntime,
    Engine,
    memory,
)
from tests.engines.cuda.fake_cuda import FakeCuda
from tests.engines.tensorrt import fake_tensorrt

REPLAY = ["camera.kind=replay", "camera.address=pictures"]
SIZE = FrameSize(96, 128)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with memory() as folder:
        yield folder


def test_without_a_gpu_only_the_twins_slides_are_read(site: Site) -> None:
    assert in_use(site.loaded)[1] == "onnx_cpu"
    site.settings += REPLAY
    with pytest.raises(SettingsError) as caught, scorer(site.loaded, AFB):
        pass
    assert caught.value.what == f"{ABSENT.what} This site has not allowed slides to be read on the processor."
    assert caught.value.safe == "No slide was read."
    assert caught.value.remedy.startswith(f"{ABSENT.remedy} Or set engines.cpu_allowed: true")


def test_a_scan_on_the_processor_is_refused_by_its_own_code_and_allowed_by_the_site(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.settings += REPLAY
    assert site.run("scan", "--assay", "afb", "--accession", "S26-1") == Exit.SETTINGS
    told = capsys.readouterr().err
    assert "This site has not allowed slides to be read on the processor." in told
    assert "Or set engines.cpu_allowed: true; each verdict then says so." in told
    site.settings += ["engines.cpu_allowed=true"]
    assert in_use(site.loaded)[1] == "onnx_cpu"


def test_an_installed_engine_is_used_before_the_shipped_one_and_a_named_folder_before_that(
    site: Site, engine: Engine, newer: Engine
) -> None:
    assert in_use(site.loaded)[0] == load_package(shipped("afb", 0.16)).title
    slot = install(site, engine)
    assert in_use(site.loaded)[0] == "redness 1.2.3"
    assert engine_folder(site.loaded, AFB) == slot.package
    site.settings += [f"engines.afb={newer.package}"]
    assert in_use(site.loaded)[0] == "redness 2.0.0"
    assert engine_folder(site.loaded, AFB) == newer.package


def test_an_engine_installed_for_another_scale_is_not_used(site: Site, engine: Engine) -> None:
    install(site, engine)
    site.settings += ["optics.um_per_px=0.293"]
    assert in_use(site.loaded)[0] == load_package(shipped("afb", 0.293)).title


def test_of_two_engines_for_one_assay_the_settings_have_to_name_one(site: Site, engine: Engine, tmp_path: Path) -> None:
    install(site, engine)
    install(site, engine.version(tmp_path / "other", "1.0.0", name="paleness"))
    with pytest.raises(SettingsError, match="Several engines are installed for afb: paleness, redness"):
        in_use(site.loaded)


def test_a_folder_named_for_an_assay_has_to_be_of_that_assay(site: Site) -> None:
    site.settings += [f"engines.afb={shipped('serous')}"]
    with pytest.raises(SettingsError, match="is made for the assay serous, not afb"):
        in_use(site.loaded)


@dataclass
class BuildsPlans(CountingRuntime):
    """Its plans are of the fake TensorRT."""

    made_with: Build = BUILD
    frame: FrameSize = SIZE

    def build(self, package: EnginePackage, progress: Callable[[str, int, int], None]) -> dict[str, bytes]:
        promised = signature(package, self.frame)
        inputs = {promised.input_name: list(promised.input_shape)}
        plan = fake_tensorrt.plan(inputs, {promised.output_name: list(promised.output_shape)})
        record = BuildRecord(
            package=package.manifest.name,
            version=package.manifest.version,
            onnx_sha256=package.manifest.onnx.sha256,
            frame=self.frame,
            gpu=ORIN,
            tensorrt=self.made_with.tensorrt,
            options=dict(self.made_with.options),
            seconds=1.0,
            layers=LayerSummary(3, 2),
            messages=(),
            plan_sha256=hashlib.sha256(plan).hexdigest(),
            timing_cache_sha256=None,
        )
        return {PLAN: plan, RECORD: record.model_dump_json(by_alias=True).encode()}

    def build_of(self, engine: Path) -> Build | None:
        assert (engine / PLAN).is_file()
        return self.made_with

    def open(self, package: EnginePackage, engine: Path | None) -> OnnxCpuScorer:
        assert engine is not None
        return OnnxCpuScorer(package)


@pytest.fixture
def gpu(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCuda]:
    """The device has one, with TensorRT 10.3.0, and a camera that is not the twin's."""
    site.settings += REPLAY
    put_gpu(monkeypatch, ORIN)
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt)
    cuda = FakeCuda()
    monkeypatch.setattr(runtimes, "open_cuda", lambda: cuda)
    fake_tensorrt.GPU.append(cuda)
    yield cuda
    fake_tensorrt.GPU.clear()


def refusal(site: Site) -> SettingsError:
    with pytest.raises(SettingsError) as caught, scorer(site.loaded, AFB):
        pass
    assert "This site has not allowed slides to be read on the processor." in caught.value.what
    return caught.value


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("installed", [True, False])
def test_with_a_gpu_an_engine_that_was_not_built_is_refused_with_how_to_build_it(
    site: Site, engine: Engine, *, installed: bool
) -> None:
    package = load_package(install(site, engine).package if installed else shipped("afb", 0.16))
    refused = refusal(site)
    assert f"No engine of {package.title} has been built for this device's GPU." in refused.what
    assert f"cytoscan engine build {package.manifest.name}." in refused.remedy


@pytest.mark.usefixtures("gpu")
def test_an_engine_built_under_another_tensorrt_is_refused_with_what_changed(site: Site, engine: Engine) -> None:
    install(site, engine, BuildsPlans(made_with=replace(BUILD, tensorrt="10.2.0")))
    refused = refusal(site)
    assert "was built under other conditions: TensorRT was 10.2.0 and is 10.3.0." in refused.what
    assert "cytoscan engine build redness." in refused.remedy


@pytest.mark.usefixtures("gpu")
def test_an_engine_whose_tensorrt_is_gone_is_refused_and_says_so(
    site: Site, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site, engine, BuildsPlans())
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert "TensorRT cannot be imported any more" in refusal(site).what


def test_an_engine_that_was_built_here_reads_on_the_gpu(site: Site, engine: Engine, gpu: FakeCuda) -> None:
    slot = install(site, engine, BuildsPlans())
    with scorer(site.loaded, AFB) as opened:
        backend = opened.scorer.backend
        assert (backend.kind, backend.engine) == ("tensorrt", "redness 1.2.3")
        assert backend.derived_sha256 == hashlib.sha256((slot.engine / PLAN).read_bytes()).hexdigest()
        assert gpu.live
    assert not gpu.live


@pytest.mark.usefixtures("gpu")
def test_with_a_gpu_the_twins_slides_are_read_before_anything_was_built(site: Site) -> None:
    site.settings = [setting for setting in site.settings if setting not in REPLAY]
    assert in_use(site.loaded)[1] == "onnx_cpu"
