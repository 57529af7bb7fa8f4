"""The rig on the twin: only complete, fresh frames come out, and every second is accounted for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.scan.rig import Rig
from appliance.settings import load_settings
from drivers.camera.frame import CameraSettings, FrameStatus
from drivers.camera.twin import TwinCamera
from drivers.errors import FrameTimeout, LinkLost
from drivers.stage import open_stage
from drivers.twin.launch import TwinProcess
from drivers.twin.settings import load_settings as twin_settings

SMALL = ("camera.width_px=640", "camera.height_px=480", "builder.ahead=0")


@contextmanager
def rig_on_twin(folder: Path, *assignments: str) -> Iterator[Rig]:
    with TwinProcess(twin_settings(None, [*SMALL, *assignments]), folder) as twin:
        settings = load_settings(None, [f"stage.port={twin.port}"])
        camera = TwinCamera(twin.camera)
        with open_stage(settings.stage) as stage:
            stage.home()
            yield Rig(stage, camera, CameraSettings(5.0))
        camera.close()


def test_exposures_and_times_are_counted_and_taken_once(tmp_path: Path) -> None:
    with rig_on_twin(tmp_path) as rig:
        rig.go_to(38_000, 13_000)
        first = rig.expose_at(3_000)
        second = rig.expose_at(3_002)
        meter = rig.meter.take()
        assert second.frame_id > first.frame_id
        assert meter.exposures == 2
        assert meter.seconds["move"] > 0
        assert meter.seconds["expose"] >= 2 * 0.029
        assert meter.hardware_s >= 2 * 0.029
        assert rig.meter.take().exposures == 0


def test_the_same_height_again_needs_no_move(tmp_path: Path) -> None:
    with rig_on_twin(tmp_path) as rig:
        rig.go_to(38_000, 13_000)
        rig.expose_at(3_000)
        rig.meter.take()
        rig.expose_at(3_000)
        assert rig.meter.take().seconds["move"] == 0


def test_a_move_set_off_is_waited_for_once_and_retracting_ends_it(tmp_path: Path) -> None:
    with rig_on_twin(tmp_path) as rig:
        rig.go_to(38_000, 13_000, 3_000)
        rig.meter.take()
        rig.set_off(38_500, 13_000, 3_001)
        rig.go_to(38_500, 13_000, 3_005)
        assert rig.z_um == 3_001
        assert rig.meter.take().seconds["move"] > 0
        rig.set_off(39_000, 13_000, 3_002)
        with rig.retracting():
            pass
        assert rig.z_um is None
        rig.go_to(38_500, 13_000, 3_001)
        assert rig.expose_at(3_001).status is FrameStatus.OK


def test_what_went_wrong_first_comes_out_of_retracting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise LinkLost("no answer", remedy="none")

    with rig_on_twin(tmp_path) as rig:
        monkeypatch.setattr(rig, "retract", broken)
        with pytest.raises(KeyError, match="first"), rig.retracting():
            raise KeyError("first")
        with pytest.raises(LinkLost, match="no answer"), rig.retracting():
            pass


def test_incomplete_and_stale_frames_are_taken_again(tmp_path: Path) -> None:
    with rig_on_twin(tmp_path, "faults.frame_incomplete=0.3", "faults.frame_stale=0.2", "seed=4") as rig:
        rig.go_to(38_000, 13_000)
        taken = 0
        for n in range(12):
            try:
                frame = rig.expose_at(3_000 + n)
            except FrameTimeout:
                continue
            taken += 1
            assert frame.status is FrameStatus.OK
        assert taken > 0
        assert rig.meter.take().exposures > 12


def test_no_complete_frame_is_an_error_that_says_what_came(tmp_path: Path) -> None:
    with rig_on_twin(tmp_path, "faults.frame_incomplete=1.0") as rig:
        rig.go_to(38_000, 13_000)
        with pytest.raises(FrameTimeout, match=r"after 3 triggers; frame \d+ came incomplete"):
            rig.expose_at(3_000)


def test_a_frame_is_read_out_on_the_way_to_the_next_place(tmp_path: Path) -> None:
    with rig_on_twin(tmp_path) as rig:
        rig.go_to(38_000, 13_000)
        rig.meter.take()
        (frame,) = rig.expose_and_leave([3_000], (38_500, 13_000, 3_001))
        assert frame.status is FrameStatus.OK
        rig.go_to(38_500, 13_000)
        meter = rig.meter.take()
        assert rig.z_um == 3_001
        assert meter.exposures == 1
        assert meter.seconds["expose"] >= 0.005
        assert rig.expose_at(3_001).frame_id == frame.frame_id + 1


def test_a_second_frame_is_taken_a_little_higher_before_the_stage_leaves(tmp_path: Path) -> None:
    with rig_on_twin(tmp_path) as rig:
        rig.go_to(38_000, 13_000)
        first, second = rig.expose_and_leave([3_000, 3_001.4], (38_500, 13_000, 3_001))
        assert second.frame_id == first.frame_id + 1
        assert (rig.meter.exposures, rig.z_um) == (2, 3_001.4)
        rig.go_to(38_500, 13_000)
        assert rig.z_um == 3_001


def test_a_frame_that_is_lost_on_the_way_is_not_taken_again_there(tmp_path: Path) -> None:
    with rig_on_twin(tmp_path, "faults.frame_incomplete=1.0") as rig:
        rig.go_to(38_000, 13_000)
        assert rig.expose_and_leave([3_000, 3_001], (38_500, 13_000, 3_001)) == []
        assert rig.meter.exposures == 1
        rig.go_to(38_500, 13_000)
        assert rig.z_um == 3_001
