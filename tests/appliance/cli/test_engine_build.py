"""`cytoscan engine build`: the engine in use made anew as its release was, or left where it fits the device."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import appliance
from appliance.cli import engine_build, engine_installer
from appliance.cli.exits import Exit
from appliance.update import versions
from engines import runtimes
from engines.acceptance.golden import Golden, load_golden
from engines.fingerprint import Fingerprint
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import EnginePackage
from engines.runtimes import GpuRuntime, open_built
from engines.slots.slot import ACCEPTANCE, Slot
from engines.tensorrt.signature import FrameSize
from tests.appliance.cli.engine_site import ABSENT, FRAME, WHO, Site, put_gpu
from tests.appliance.cli.test_scoring import BuildsPlans
from tests.appliance.update.small import (
    BUILD,
    NAME,
    ORIN,
    Engine,
    contents,
    memory,
    read_slides,
    release,
)
from tests.engines.cuda.fake_cuda import FakeCuda
from tests.engines.releases.maker import Maker
from tests.engines.tensorrt import fake_tensorrt

STAYS = "redness 1.2.3 stays in use as it is: nothing is built.\n"
LARGER = ("--frame", "256x192")


class RunsPlans(BuildsPlans):
    """It also opens what it built, and knows the camera's size."""

    def check(self, package: EnginePackage, golden: Golden | None) -> None:
        GpuRuntime(ORIN, lambda: self.frame, Path()).check(package, golden)

    def open(self, package: EnginePackage, engine: Path | None) -> OnnxCpuScorer:
        return open_built(package, engine)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with memory() as folder:
        yield folder


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    return Maker(tmp_path / "maker")


@pytest.fixture
def site(maker: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A device without a GPU, and without a camera that could be asked for its size; nothing is drawn for it."""

    def drawn(package: EnginePackage, *_: object) -> Golden:
        pytest.fail(f"golden fields were drawn for {package.title}")

    put_gpu(monkeypatch, ABSENT)
    monkeypatch.setattr(engine_installer, "drawn_golden", drawn)
    return Site(tmp_path / "device", maker.root)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> BuildsPlans:
    """Where the device is given a GPU, TensorRT 10.3.0 is there, and this builds."""
    made = BuildsPlans()
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt)
    monkeypatch.setattr(engine_installer, "GpuRuntime", lambda *_: made)
    return made


def update(site: Site, maker: Maker, engine: Engine, *, golden: bool = True) -> Slot:
    """Install an engine from the maker's stick."""
    release(maker, engine, golden=golden)
    assert site.update(maker.export(maker.folder.with_name("stick"))) == 0
    return used(site)


def build(site: Site, *more: str) -> int:
    return site.told("engine", "build", NAME, *WHO, *(more or FRAME))


def build_if_needed(site: Site, *frame: str) -> int:
    return build(site, "--if-needed", *frame)


def used(site: Site) -> Slot:
    slot = site.store.current(NAME)
    assert slot is not None
    return slot


def golden_sha256(slot: Slot) -> str:
    """Of the golden fields that it was accepted on."""
    return str(json.loads((slot.folder / ACCEPTANCE).read_bytes())["golden_sha256"])


def test_build_makes_the_engine_in_use_anew_and_the_stick_still_knows_it(
    site: Site, maker: Maker, engine: Engine
) -> None:
    update(site, maker, engine)
    for _ in range(2):
        assert build(site) == 0
    assert (site.result["version"], site.result["state"], site.result["in_use"]) == ("1.2.3", "active", True)
    assert str(site.result["release"]).count("built again") == 1
    row = site.audit()[-1]
    assert (row.action, row.detail["release"]) == ("engine.build", site.result["release"])
    assert site.update(maker.folder.with_name("stick")) == 0
    assert site.result["outcomes"][0]["fate"] == "in use already"


def test_built_again_and_again_it_is_tried_on_its_signed_golden_fields_and_names_the_keys(
    site: Site, maker: Maker, engine: Engine
) -> None:
    first = update(site, maker, engine)
    for _ in range(2):
        assert build(site) == 0
        slot = used(site)
        assert golden_sha256(slot) == load_golden(engine.golden).sha256
        made = Fingerprint.model_validate_json(slot.fingerprint.read_bytes())
        assert made.signing_key_ids == slot.record.signing_key_ids == first.record.signing_key_ids
        assert maker.targets_key.public_key.keyid in made.signing_key_ids


def test_a_release_without_golden_fields_is_tried_on_drawn_ones_each_time(
    site: Site, maker: Maker, engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(engine_installer, "drawn_golden", lambda package, *_: engine.load_golden(package))
    update(site, maker, engine, golden=False)
    capsys.readouterr()
    assert build(site) == 0
    assert "The release brings no golden fields; the twin draws some." in capsys.readouterr().out
    assert used(site).golden is None


def test_build_installs_the_shipped_package_where_none_is(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()
    put_gpu(monkeypatch, ABSENT)
    command = ("engine", "build", "serous-cytology", "--if-needed", *WHO)
    assert site.told(*command, *LARGER) == 0
    assert site.result["release"] == "shipped with 0.1.0"
    assert "The release brings no golden fields; the twin draws some." in capsys.readouterr().out
    assert site.store.current("serous-cytology") is not None
    assert site.run("engine", "build", "blueness", *WHO, *FRAME) == Exit.ENGINE


def test_a_newer_shipped_package_takes_the_place_of_an_older_shipped_one_but_not_of_one_from_a_stick(
    site: Site,
    maker: Maker,
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shipped = {"is": engine}
    for module in (engine_build, versions):
        monkeypatch.setattr(module, "shipped_as", lambda _: shipped["is"].package)
    monkeypatch.setattr(engine_installer, "drawn_golden", lambda *_: load_golden(shipped["is"].golden))
    assert build_if_needed(site, *FRAME) == 0
    assert build_if_needed(site, *FRAME) == 0
    assert site.standing() == {"1.2.3": "active", "in use": "1.2.3"}
    shipped["is"] = engine.version(tmp_path / "renewed", "1.10.0")
    monkeypatch.setattr(appliance, "__version__", "0.2.0")
    capsys.readouterr()
    assert build_if_needed(site, *FRAME) == 0
    assert "A newer redness than 1.2.3 is shipped with this application." in capsys.readouterr().out
    assert used(site).record.version == "1.10.0"
    update(site, maker, engine)
    assert used(site).record.version == "1.2.3", "what a maker has signed is wanted, whatever is shipped"
    assert build_if_needed(site, *FRAME) == 0
    assert used(site).record.version == "1.2.3"


def test_without_a_gpu_an_engine_in_use_is_left_in_one_line_and_the_camera_is_not_asked(
    site: Site, maker: Maker, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    update(site, maker, engine)
    read_slides(site.store)
    before = contents(site.folder)
    capsys.readouterr()
    assert build_if_needed(site) == 0
    assert capsys.readouterr().out == STAYS
    assert contents(site.folder) == before
    assert (site.result["version"], site.result["state"], site.result["in_use"]) == ("1.2.3", "good", True)


def test_a_size_that_is_none_is_refused_though_it_is_not_needed(site: Site, maker: Maker, engine: Engine) -> None:
    update(site, maker, engine)
    assert build_if_needed(site, "--frame", "wide") == Exit.USAGE


def test_with_a_gpu_an_engine_that_was_accepted_on_the_processor_is_built_once(
    site: Site,
    maker: Maker,
    engine: Engine,
    gpu: BuildsPlans,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    update(site, maker, engine)
    put_gpu(monkeypatch, ORIN)
    capsys.readouterr()
    assert build_if_needed(site, *FRAME) == 0
    assert "No engine of redness 1.2.3 has been built for this device's GPU." in capsys.readouterr().out
    built = used(site)
    assert runtimes.is_built(built.engine)
    rows = len(site.audit())
    assert build_if_needed(site, *FRAME) == 0
    assert capsys.readouterr().out == STAYS
    assert used(site) == built
    assert len(site.audit()) == rows


def test_after_an_update_of_tensorrt_the_engine_is_built_again(
    site: Site,
    maker: Maker,
    engine: Engine,
    gpu: BuildsPlans,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    put_gpu(monkeypatch, ORIN)
    gpu.made_with = replace(BUILD, tensorrt="10.2.0")
    update(site, maker, engine)
    gpu.made_with = BUILD
    assert build_if_needed(site, *FRAME) == 0
    assert "TensorRT was 10.2.0 and is 10.3.0." in capsys.readouterr().out
    assert Fingerprint.model_validate_json(used(site).fingerprint.read_bytes()).tensorrt == "10.3.0"


def test_an_engine_whose_gpu_is_gone_is_left_for_when_it_is_back(
    site: Site, maker: Maker, engine: Engine, gpu: BuildsPlans, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_gpu(monkeypatch, ORIN)
    built = update(site, maker, engine)
    put_gpu(monkeypatch, ABSENT)
    assert build_if_needed(site) == 0
    assert used(site) == built


def test_for_a_camera_of_another_size_the_engine_is_built_again_unless_it_reads_tiles(
    site: Site,
    maker: Maker,
    engine: Engine,
    gpu: BuildsPlans,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    put_gpu(monkeypatch, ORIN)
    whole = update(site, maker, engine)
    gpu.frame = FrameSize(192, 256)
    assert build_if_needed(site, *LARGER) == 0
    told = "The engine of redness 1.2.3 was built for pictures of 128x96 px; the camera's have 256x192 px."
    assert told in capsys.readouterr().out
    assert used(site).folder != whole.folder
    tiled = engine.version(tmp_path / "tiled", "2.0.0", tiling={"answers": "map", "height_px": 96, "width_px": 128})
    release(maker, tiled)
    assert site.update(maker.export(tmp_path / "tiled stick")) == 0
    tiles = used(site)
    assert build_if_needed(site, *FRAME) == 0
    assert used(site) == tiles


def test_golden_fields_of_another_size_than_the_cameras_are_refused_by_an_update_and_by_a_build(
    site: Site,
    maker: Maker,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    larger = RunsPlans(frame=FrameSize(192, 256))
    cuda = FakeCuda()
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt)
    monkeypatch.setattr(engine_installer, "GpuRuntime", lambda *_: larger)
    monkeypatch.setattr(runtimes, "open_cuda", lambda: cuda)
    monkeypatch.setattr(fake_tensorrt, "GPU", [cuda])
    installed = update(site, maker, engine)  # on the processor, which reads any size
    put_gpu(monkeypatch, ORIN)
    told = "The golden field empty of redness {} has 128x96 px; this device's camera gives 256x192 px."
    assert build(site, *LARGER) == Exit.ENGINE
    assert told.format("1.2.3") in capsys.readouterr().err
    newer = engine.version(maker.folder.with_name("newer"), "2.0.0")
    release(maker, newer)
    assert site.update(maker.export(maker.folder.with_name("newer stick")), *LARGER) == Exit.ENGINE
    assert told.format("2.0.0") in capsys.readouterr().err
    assert used(site) == installed
    assert site.standing() == {"1.2.3": "active", "in use": "1.2.3"}, "nothing was staged"
