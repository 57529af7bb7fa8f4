"""`cytoscan acceptance`: the whole of it on the processor, and what becomes of it where something fails or hangs."""

from __future__ import annotations

import hashlib
import json
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.cli import device_acceptance, device_trial
from appliance.cli.device_pipeline import Pipeline, bayer_of
from appliance.cli.device_trial import PARTS, Trial, Wish
from appliance.cli.exits import Exit
from appliance.cli.golden_fields import drawn_golden
from appliance.device_report.section import Section
from appliance.errors import ApplianceError
from appliance.journal import Journal, JournalReader
from drivers.camera.colour import demosaic
from engines.acceptance.golden import Golden
from engines.building.record import PLAN, RECORD, BuildRecord
from engines.cuda.probe import Gpu
from engines.errors import EngineError
from engines.fingerprint import Build
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import EnginePackage, load_package, shipped
from engines.scorer import Scorer
from engines.slots.store import SlotStore
from engines.tensorrt.inspection import LayerSummary
from engines.tensorrt.signature import FrameSize
from tests.appliance.cli.engine_site import ABSENT, Site
from tests.conftest import ROOT

FRAME = FrameSize(height_px=384, width_px=512)
ORIN = Gpu("Orin", "8.7", "12.6")


@pytest.fixture(scope="module")
def package() -> EnginePackage:
    return load_package(shipped("serous"))


@pytest.fixture(scope="module")
def golden(package: EnginePackage, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    return drawn_golden(package, FRAME, tmp_path_factory.mktemp("golden"))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(device_acceptance, "present_gpu", lambda: ABSENT)
    return Site(tmp_path / "site")


@dataclass
class Orin:
    """A GPU whose engines the processor reads. plan: what its builds leave. make: opens them."""

    plan: bytes = b"plan"
    make: Callable[[EnginePackage], OnnxCpuScorer] = OnnxCpuScorer
    gpu: Gpu | None = ORIN
    device_class: str = "cpu"

    def build(self, package: EnginePackage, progress: Callable[[str, int, int], None]) -> dict[str, bytes]:
        progress("Timing", 1, 1)
        record = BuildRecord(
            package=package.manifest.name,
            version=package.manifest.version,
            onnx_sha256=package.manifest.onnx.sha256,
            frame=FRAME,
            gpu=ORIN,
            tensorrt="10.3.0",
            options={},
            seconds=12.5,
            layers=LayerSummary(60, 41),
            messages=("a warning",),
            plan_sha256=hashlib.sha256(b"plan").hexdigest(),
            timing_cache_sha256=None,
        )
        return {PLAN: self.plan, RECORD: record.model_dump_json(by_alias=True).encode()}

    def build_of(self, engine: Path) -> Build | None:
        return None

    def open(self, package: EnginePackage, engine: Path | None) -> OnnxCpuScorer:
        assert engine is not None
        return self.make(package)

    def reference(self, package: EnginePackage) -> Scorer | None:
        return OnnxCpuScorer(package)


@dataclass
class Tried:
    """Runs the parts in a folder, on golden fields that were drawn once."""

    site: Site
    package: EnginePackage

    def sections(self, runtime: Orin, minutes: float = 0.0) -> dict[str, Section]:
        wish = Wish(self.package, FRAME, fields=5, minutes=minutes)
        trial = Trial(wish, self.site.loaded, runtime, self.site.folder, lambda *_: None)
        sections = list(trial.sections(ORIN))
        assert [section.part for section in sections] == list(PARTS)
        return {section.part.key: section for section in sections}


@pytest.fixture
def tried(site: Site, package: EnginePackage, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> Tried:
    monkeypatch.setattr(device_trial, "drawn_golden", lambda *_: golden)
    return Tried(site, package)


def why(section: Section) -> str:
    """Of a section that could not run."""
    assert not section.passed
    assert not section.facts
    return section.checks[0].sentence


def report(folder: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((folder / "device-acceptance.json").read_text(encoding="utf-8"))
    return found


def test_without_a_gpu_the_same_report_comes_of_the_processor_and_is_not_passed(site: Site, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = site.run("acceptance", "--frame", "512x384", "--fields", "10", "--minutes", "0.02", "--out", out)
    assert code == Exit.CHECKS_FAILED
    told = report(out)
    assert (told["passed"], told["on_gpu"]) == (False, False)
    assert list(told["sections"]) == [part.key for part in PARTS]
    gpu, golden, speed, heat = (told["sections"][part.key] for part in PARTS[1:])
    assert not gpu["passed"]
    assert "Nothing is built, and the processor reads." in gpu["checks"][0]["sentence"]
    assert golden["passed"], golden["checks"]
    assert 0 < speed["end_to_end_vs_engine_only"] == told["headline"]["end_to_end_vs_engine_only"] < 1.5
    times = {row["name"]: row["median_ms"] for row in speed["times"]}
    assert min(times.values()) > 0
    assert speed["ideal_ms"] >= max(times["engine_only"], times["prepare"])
    assert heat["fields"] > 3
    page = (out / "device-acceptance.html").read_text(encoding="utf-8")
    assert page.index("No GPU has read here.") < page.index("<main>")
    left = {path.name for path in site.folder.iterdir()}
    assert left <= {"engines", "journal.sqlite"}, "what was tried is gone, and nothing in use was touched"
    assert site.store.names() == []


def test_nothing_is_measured_while_a_slide_is_read(site: Site, tmp_path: Path) -> None:
    with SlotStore(site.folder / "engines").reading():
        assert site.run("acceptance", "--frame", "512x384", "--out", tmp_path / "out") == Exit.BUSY
    assert not (tmp_path / "out").exists()


def test_a_package_that_is_not_shipped_is_refused(site: Site) -> None:
    assert site.run("acceptance", "--frame", "512x384", "--package", "nobodys") == Exit.ENGINE


def test_on_a_gpu_an_engine_is_built_tried_and_timed(tried: Tried) -> None:
    found = tried.sections(Orin())
    assert found["gpu"].passed
    assert {fact.key: fact.value for fact in found["gpu"].facts}["layers_int8"] == 41
    assert found["golden_fields"].passed
    assert any("Against the CPU runtime" in check.sentence for check in found["golden_fields"].checks)
    assert {fact.key for fact in found["speed"].facts} >= {"end_to_end_vs_engine_only", "ideal_ms"}
    assert why(found["thermal"]) == "Not run: --minutes 0 was given."


def test_a_build_that_is_not_whole_leaves_nothing_to_be_tried(tried: Tried) -> None:
    found = tried.sections(Orin(plan=b"torn"), minutes=0.02)
    assert "has been altered since it was built" in why(found["gpu"])
    for key in ("golden_fields", "speed", "thermal"):
        assert why(found[key]) == "Not run: no engine could be opened."


class BreaksInReader(OnnxCpuScorer):
    """Reads golden fields, and fails where fields are read as slides' are."""

    def start(self, image: NDArray[np.uint8]) -> Callable[[], NDArray[np.float32]]:
        if threading.current_thread().name.startswith("reader"):
            raise EngineError("The GPU fell off the bus.", remedy="Restart the device.")
        return super().start(image)


def test_an_engine_that_fails_under_way_is_reported_where_it_failed(tried: Tried) -> None:
    found = tried.sections(Orin(make=BreaksInReader), minutes=0.02)
    assert found["golden_fields"].passed
    for key in ("speed", "thermal"):
        assert why(found[key]) == "The GPU fell off the bus. Restart the device."


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """What a hanging engine waits for; it ends with the test."""
    event = threading.Event()
    yield event
    event.set()


def test_an_engine_that_hangs_is_reported_and_not_waited_for(
    tried: Tried, released: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hangs(package: EnginePackage) -> OnnxCpuScorer:
        released.wait()
        return OnnxCpuScorer(package)

    monkeypatch.setattr(device_trial, "_BUILD_SILENCE_S", 0.2)
    found = tried.sections(Orin(make=hangs), minutes=0.02)
    assert "It hung" in why(found["gpu"])
    assert why(found["speed"]) == "Not run: no engine could be opened."


def test_a_field_that_is_not_scored_is_no_measured_field(
    site: Site, package: EnginePackage, golden: Golden, tmp_path: Path
) -> None:
    black = replace(golden.fields[0], picture=np.zeros_like(golden.fields[0].picture))
    unreadable = replace(golden, fields=(black,))
    with Journal.open(tmp_path / "journal.sqlite") as journal, closing(OnnxCpuScorer(package)) as scorer:
        pipeline = Pipeline(package, scorer, unreadable, site.loaded, journal, lambda: None)
        with pytest.raises(ApplianceError, match="not scored but failed"):
            pipeline.end_to_end(3)


def test_fields_go_through_the_real_reader_into_the_journal(
    site: Site, package: EnginePackage, golden: Golden, tmp_path: Path
) -> None:
    path, beats = tmp_path / "journal.sqlite", []
    with Journal.open(path) as journal, closing(OnnxCpuScorer(package)) as scorer:
        pipeline = Pipeline(package, scorer, golden, site.loaded, journal, lambda: beats.append(1))
        turn = len(golden.fields)
        assert len(pipeline.end_to_end(turn + 1)) == 2, "whole turns of the golden fields"
        stages = pipeline.alone(2)
    assert len(beats) == 2 * turn + 1 + 2
    assert all(min(one.prepare, one.network, one.decode, one.record) > 0 for one in stages)
    with JournalReader.open(path) as kept:
        assert [len(kept.fields(f"acceptance-{number}")) for number in (1, 2)] == [2 * turn + 1, 2]


def test_a_golden_picture_goes_through_the_raw_frame_unchanged_but_for_its_rim(golden: Golden) -> None:
    picture = golden.fields[0].picture
    again = demosaic(bayer_of(picture))
    assert np.array_equal(again[2:-2, 2:-2], picture[2:-2, 2:-2])


def test_the_tool_hands_its_options_to_the_command() -> None:
    done = subprocess.run([ROOT / "tools/jetson-acceptance", "--help"], capture_output=True, text=True, check=False)
    if done.returncode == 1 and "not installed" in done.stderr:
        pytest.skip("cytoscan is installed neither in /opt nor in the checkout's .venv")
    assert done.returncode == 0, done.stderr
    assert "--minutes" in done.stdout
