"""Which engine reads a slide on this device, on which runtime, and what each slide says of an engine on trial."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import pytest

from appliance.assays import load_assay
from appliance.cli import reading
from appliance.cli.exits import Exit
from appliance.cli.reading import Order, read_slide
from appliance.cli.scoring import engine_folder, scorer
from appliance.cli.serve_scanner import BREADCRUMB
from appliance.errors import JournalError, SettingsError, Stopped
from appliance.scan import until_enough
from appliance.service.breadcrumb import Breadcrumb
from appliance.service.requests import SlideInHand
from appliance.settings import Settings
from appliance.update.install import Candidate
from drivers.errors import CameraLost
from engines import runtimes
from engines.building.record import PLAN, RECORD, BuildRecord
from engines.fingerprint import Build
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import EnginePackage, load_package, shipped
from engines.runtimes import CpuRuntime
from engines.slots import store as slot_store
from engines.slots.errors import UpdateUnderWay
from engines.slots.lock import taking_turns
from engines.slots.slot import Slot
from engines.slots.store import SlotStore
from engines.slots.trial import Trial
from engines.tensorrt.inspection import LayerSummary
from engines.tensorrt.signature import FrameSize, signature
from tests.appliance.cli.engine_site import ABSENT, FRAME, WHO, Site, put_gpu
from tests.appliance.cli.test_reading import Hardware
from tests.appliance.scan.test_until_enough import Told
from tests.appliance.update.small import (
    BUILD,
    DECISION,
    NAME,
    ORIN,
    CountingRuntime,
    Device,
    Engine,
    make_engine,
    memory,
    read_slides,
)
from tests.engines.cuda.fake_cuda import FakeCuda
from tests.engines.tensorrt import fake_tensorrt

AFB = load_assay("afb")
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
REPLAY = ["camera.kind=replay", "camera.address=pictures"]
SIZE = FrameSize(96, 128)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with memory() as folder:
        yield folder


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return make_engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture
def newer(engine: Engine, tmp_path: Path) -> Engine:
    return engine.version(tmp_path / "newer", "2.0.0")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A device without a GPU, whose optics suit the small engine and a shipped one."""
    put_gpu(monkeypatch, ABSENT)
    region = "scan.region={x_um: 38000, y_um: 13000, width_um: 20000, height_um: 10000}"
    return Site(tmp_path / "device", settings=["optics.um_per_px=0.16", "scan.fields=4", region])


def install(site: Site, engine: Engine, runtime: CountingRuntime | None = None) -> Slot:
    """By whatever runtime; its release is named after its folder."""
    used = runtime or CpuRuntime(site.folder / "engine-runtime.json")
    store, device = site.store, Device(site.folder, used)  # type: ignore[arg-type]
    with store.updating():
        candidate = Candidate(engine.package, engine.golden, engine.load_golden, str(engine.package))
        return device.installer(store).install(candidate, DECISION)


def in_use(settings: Settings) -> tuple[str, str]:
    """Package and kind of runtime that a slide would be read with."""
    with scorer(settings, AFB) as opened:
        return opened.package.title, opened.scorer.backend.kind


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


@pytest.mark.parametrize("start", [in_use, lambda settings: engine_folder(settings, AFB)])
def test_an_altered_engine_falls_back_by_itself_at_the_next_start(
    site: Site, engine: Engine, newer: Engine, start: Callable[[Settings], object]
) -> None:
    install(site, engine)
    read_slides(site.store)
    slot = install(site, newer)
    (slot.package / "manifest.yaml").write_text("altered")
    start(site.loaded)
    assert site.standing() == {"1.2.3": "good", "2.0.0": "rejected", "in use": "1.2.3"}
    assert in_use(site.loaded)[0] == "redness 1.2.3"


def test_slides_that_come_to_their_end_make_an_engine_good(site: Site, engine: Engine) -> None:
    site.settings += ["engines.good_after=2"]
    install(site, engine)
    for state in ("active", "active", "good"):
        assert site.standing()["1.2.3"] == state
        with scorer(site.loaded, AFB) as opened, opened.slide():
            pass


@pytest.fixture
def read(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Read a slide that ends in this error after its engine was opened."""

    @contextmanager
    def hardware(_: Settings) -> Iterator[tuple[Hardware, Hardware]]:
        yield Hardware(), Hardware()

    monkeypatch.setattr(reading, "hardware", hardware)

    def once(error: BaseException) -> None:
        def scan(*_: object) -> None:
            raise error

        monkeypatch.setattr(until_enough, "scan", scan)
        with pytest.raises(type(error)):
            read_slide(site.loaded, AFB, Order("S26-1", "A", "tester"), tmp_path / "r.html", Told(), threading.Event())

    return once


def test_too_many_slides_that_die_in_the_middle_and_the_engine_falls_back(
    site: Site, engine: Engine, newer: Engine, read: Callable[[BaseException], None]
) -> None:
    site.settings += ["engines.failed_allowed=1"]
    install(site, engine)
    read_slides(site.store)
    install(site, newer)
    for _ in range(2):
        assert in_use(site.loaded)[0] == "redness 2.0.0"
        read(RuntimeError("the engine gave up"))
    assert in_use(site.loaded)[0] == "redness 1.2.3"
    assert site.standing() == {"1.2.3": "good", "2.0.0": "rejected", "in use": "1.2.3"}
    (bad,) = (slot for slot in site.store.slots(NAME) if slot.record.version == "2.0.0")
    assert bad.record.history[-1].why == "Slides that did not come to their end with it: 2; allowed: 1."


@pytest.mark.parametrize(
    ("result", "assay", "left"),
    [
        ("watchdog", "afb", "1.2.3"),
        ("watchdog", None, "1.2.3"),
        ("watchdog", "serous", "2.0.0"),
        ("timeout", "afb", "1.2.3"),
        ("timeout", "serous", "1.2.3"),
        ("signal", "serous", "1.2.3"),
        ("core-dump", None, "1.2.3"),
        ("oom-kill", None, "1.2.3"),
        ("success", "afb", "2.0.0"),
        ("exit-code", "afb", "2.0.0"),
    ],
)
def test_a_hang_is_held_against_the_engine_on_trial_that_was_reading(
    site: Site,
    engine: Engine,
    newer: Engine,
    monkeypatch: pytest.MonkeyPatch,
    result: str,
    assay: str | None,
    left: str,
) -> None:
    install(site, engine)
    read_slides(site.store)
    install(site, newer)
    if assay is not None:
        slide = SlideInHand(assay=assay, accession="S26-1", slide="A", operator="x", started_at=NOW)
        Breadcrumb(site.folder / BREADCRUMB).write(slide)
    monkeypatch.setenv("SERVICE_RESULT", result)
    assert site.run("serve", "ended") == Exit.VERDICT
    assert in_use(site.loaded)[0] == f"redness {left}"


@pytest.mark.parametrize("elsewhere", ["optics.um_per_px=5", "named"])
def test_what_the_scanner_does_not_load_bears_no_part_in_its_end(
    site: Site, engine: Engine, newer: Engine, monkeypatch: pytest.MonkeyPatch, elsewhere: str
) -> None:
    install(site, engine)
    read_slides(site.store)
    install(site, newer)
    here = list(site.settings)
    site.settings = [*here, f"engines.afb={engine.package}" if elsewhere == "named" else elsewhere]
    monkeypatch.setenv("SERVICE_RESULT", "core-dump")
    assert site.run("serve", "ended") == Exit.VERDICT
    site.settings = here
    assert in_use(site.loaded)[0] == "redness 2.0.0"


def test_a_hang_counts_also_where_the_note_of_the_slide_cannot_be_read(
    site: Site, engine: Engine, newer: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site, engine)
    read_slides(site.store)
    install(site, newer)
    (site.folder / BREADCRUMB).write_text("torn")
    monkeypatch.setenv("SERVICE_RESULT", "watchdog")
    assert site.run("serve", "ended") == Exit.VERDICT
    assert in_use(site.loaded)[0] == "redness 1.2.3"


STOPPED = Stopped("The scan was stopped.", remedy="Start it again to go on.")
FULL = JournalError("The disk is full.", remedy="Free space.")
LOST = CameraLost("The camera is gone.", safe="Z is up.", remedy="Plug it in.")


@pytest.mark.parametrize(
    "error", [STOPPED, KeyboardInterrupt(), LOST, FULL], ids=["stopped", "interrupted", "camera lost", "full"]
)
def test_a_slide_that_the_operator_or_a_device_ended_does_not_count_against_the_engine(
    site: Site, engine: Engine, read: Callable[[BaseException], None], error: BaseException
) -> None:
    site.settings += ["engines.failed_allowed=0", "engines.good_after=3"]
    install(site, engine)
    for _ in range(2):
        read(error)
    slot = site.store.current(NAME)
    assert slot is not None
    assert (slot.record.slides_started, slot.record.slides_finished) == (2, 2)
    assert in_use(site.loaded)[0] == "redness 1.2.3"


@pytest.mark.parametrize("installed", [True, False])
def test_while_a_slide_is_read_no_update_changes_the_engines(site: Site, engine: Engine, *, installed: bool) -> None:
    if installed:
        install(site, engine)
    before = site.standing()
    with scorer(site.loaded, AFB):
        assert site.run("engine", "build", NAME, *FRAME, *WHO) == Exit.BUSY
        assert site.run("engine", "rollback", NAME, *WHO) == Exit.BUSY
        with scorer(site.loaded, AFB):  # a bench beside it may look on
            pass
    assert site.standing() == before


def test_while_an_update_runs_no_slide_is_read_and_nobody_waits_for_it(
    site: Site, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site, engine)
    never = partial(taking_turns, pause=lambda _: pytest.fail("waited for an update"))
    monkeypatch.setattr(slot_store, "taking_turns", never)
    with site.store.updating():
        with pytest.raises(UpdateUnderWay), scorer(site.loaded, AFB):
            pass
        assert site.run("scan", "--assay", "afb", "--accession", "S26-1") == Exit.BUSY
    assert in_use(site.loaded)[0] == "redness 1.2.3"


def test_of_two_scans_that_start_at_once_the_second_waits_until_the_first_has_looked_after_the_engines(
    site: Site, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site, engine)
    watch, watching, go_on = SlotStore.watch, threading.Event(), threading.Event()

    def slow(store: SlotStore, name: str, trial: Trial, *, who: str, now: datetime) -> Slot | None:
        watching.set()
        assert go_on.wait(20)
        return watch(store, name, trial, who=who, now=now)

    monkeypatch.setattr(SlotStore, "watch", slow)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(in_use, site.loaded)
        assert watching.wait(20)
        waited: list[str] = []

        def pause(_: float) -> None:
            go_on.set()
            waited.append(first.result(20)[0])

        monkeypatch.setattr(slot_store, "taking_turns", partial(taking_turns, pause=pause))
        assert in_use(site.loaded)[0] == "redness 1.2.3"
    assert waited == ["redness 1.2.3"]


def test_a_scan_keeps_its_turn_until_no_other_can_take_the_engines_from_it(
    site: Site, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site, engine)
    reading = SlotStore.reading

    class MustWait(Exception): ...

    def another_start() -> None:
        def pause(_: float) -> None:
            raise MustWait

        with taking_turns(site.folder / "engines", pause):
            pass

    def before_reading(store: SlotStore) -> AbstractContextManager[None]:
        with pytest.raises(MustWait):
            another_start()
        return reading(store)

    monkeypatch.setattr(SlotStore, "reading", before_reading)
    with scorer(site.loaded, AFB):
        another_start()  # it reads, and keeps nobody waiting


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
