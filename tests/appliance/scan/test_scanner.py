"""The scan loop on the twin: nothing is read twice, trouble retracts the objective and comes out whole."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.errors import Stopped
from appliance.records import FieldRecord, Outcome, SlideRun
from appliance.scan.events import FieldDone, ScanListener
from appliance.scan.interpret import ReadingRules
from appliance.scan.plan import Plan, Region, Shape, make_plan
from appliance.scan.reader import Reader
from appliance.scan.rig import Rig
from appliance.scan.scanner import scan
from appliance.settings import Settings, load_settings
from drivers.camera.frame import CameraSettings
from drivers.camera.twin import TwinCamera
from drivers.errors import CameraLost
from drivers.stage import Stage, open_stage
from drivers.twin.launch import TwinProcess
from drivers.twin.settings import load_settings as twin_settings
from engines.scorer import BackendInfo, Detections, Scorer

SMALL = ("camera.width_px=640", "camera.height_px=480", "seed=12")
FIELD_UM = (640 * 0.293, 480 * 0.293)


class NothingFound(Scorer):
    backend = BackendInfo("test", "none 1", "0" * 64, "none")

    def begin(self, image: NDArray[np.uint8], um_per_px: float) -> Detections:
        return list

    def close(self) -> None:
        return


class Watch(ScanListener):
    """Remembers fields; calls back after each."""

    def __init__(self, after: Callable[[int], None]) -> None:
        self.records: list[FieldRecord] = []
        self.surveys = 0
        self._after = after

    def surveyed(self, meter: object) -> None:
        self.surveys += 1

    def field_done(self, done: FieldDone) -> None:
        self.records.append(done.record)
        self._after(len(self.records))


class KeepNothing:
    def record_field(self, *_: object, **__: object) -> None:
        return


class Bench:
    """A twin, opened and homed, and one plan of six fields on it."""

    def __init__(self, twin: TwinProcess, stage: Stage, camera: TwinCamera, settings: Settings) -> None:
        self.twin, self.stage, self.camera, self.settings = twin, stage, camera, settings
        region = Region(38_000, 13_000, 1_500, 1_500, Shape.RECTANGLE)
        self.plan: Plan = make_plan("serous", region, *FIELD_UM, fields=6)
        self.stop = threading.Event()

    def scan(
        self,
        recorded: set[int] | None = None,
        after: Callable[[int], None] = lambda _: None,
        suffices: Callable[[FieldRecord], bool] = lambda _: False,
    ) -> Watch:
        watch = Watch(after)
        run = SlideRun(
            "r", "A", "1", 1, "serous", 450, 0.5, 0.293, *FIELD_UM, 6, "", "", "", "", "", "", "",
            datetime.now(timezone.utc),
        )  # fmt: skip
        rules = ReadingRules(("malignant",), 0.5, 0.2, 3)
        reader = Reader(
            run, NothingFound(), KeepNothing(), rules, queue_length=1, done=watch.field_done, suffices=suffices
        )
        rig = Rig(self.stage, self.camera, CameraSettings(5.0))
        try:
            scan(rig, self.plan, recorded or set(), self.settings, reader, watch, self.stop)
        finally:
            reader.close()
        return watch


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with TwinProcess(twin_settings(None, SMALL), tmp_path) as twin:
        settings = load_settings(None, [f"stage.port={twin.port}", "focus.survey_points=3"])
        camera = TwinCamera(twin.camera)
        with open_stage(settings.stage) as stage:
            stage.home()
            yield Bench(twin, stage, camera, settings)
        camera.close()


def test_every_planned_field_is_recorded_once_and_z_ends_retracted(bench: Bench) -> None:
    watch = bench.scan()
    assert sorted(record.index for record in watch.records) == list(range(6))
    assert watch.surveys == 1
    assert any(record.outcome is Outcome.USABLE for record in watch.records)
    for record in watch.records:
        assert set(record.seconds) == {"move", "settle", "focus", "expose", "host", "score"}
        assert record.focus.exposures >= 1
    assert bench.stage.position().z_um <= bench.settings.stage.retract_z_um + 1


def test_recorded_fields_are_not_read_again_and_a_finished_plan_moves_nothing(bench: Bench) -> None:
    watch = bench.scan(recorded={0, 1, 2, 4})
    assert [record.index for record in watch.records] == [3, 5]
    before = bench.stage.hardware_seconds
    watch = bench.scan(recorded=set(range(6)))
    assert watch.records == []
    assert bench.stage.hardware_seconds == before


def test_a_reader_that_has_enough_ends_the_scan_and_what_was_captured_is_recorded(bench: Bench) -> None:
    """At most the field in hand and the one in the queue come after the one that was enough."""
    watch = bench.scan(suffices=lambda record: record.index == 1)
    indexes = [record.index for record in watch.records]
    assert len(set(indexes)) == len(indexes)
    assert len(indexes) <= indexes.index(1) + 3
    assert bench.stage.position().z_um <= bench.settings.stage.retract_z_um + 1


def test_stop_ends_after_the_field_in_hand_with_z_retracted(bench: Bench) -> None:
    with pytest.raises(Stopped, match="All fields read so far are recorded"):
        bench.scan(after=lambda n: bench.stop.set())
    assert bench.stage.position().z_um <= bench.settings.stage.retract_z_um + 1


def test_a_lost_camera_comes_out_as_such_and_z_is_retracted(bench: Bench) -> None:
    def cut(_: int) -> None:
        bench.camera.close()

    with pytest.raises(CameraLost):
        bench.scan(after=cut)
    assert bench.stage.position().z_um <= bench.settings.stage.retract_z_um + 1
