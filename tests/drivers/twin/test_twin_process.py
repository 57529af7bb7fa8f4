"""The whole twin as its users meet it: a port, a camera, and a truth that only tests read."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import serial

from drivers.camera.colour import green
from drivers.camera.frame import CameraSettings, FrameStatus
from drivers.camera.twin import TwinCamera
from drivers.errors import CameraLost
from drivers.twin.launch import TwinNotStarted, TwinProcess
from drivers.twin.settings import load_settings

X_STEP_UM, Z_STEP_UM = 0.15625, 0.1
DEADLINE_S = 30.0


class _Stage:
    """Just enough of the controller's language to move, without the code under test elsewhere."""

    def __init__(self, port: str) -> None:
        self._serial = serial.Serial(port, 115_200, timeout=2.0)

    def say(self, command: str) -> str:
        self._serial.write(f"/{command}\n".encode())
        reply = self._serial.readline().decode()
        assert " OK " in reply, (command, reply)
        return reply

    def wait(self) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while "BUSY" in self.say("1") or "BUSY" in self.say("2"):
            assert time.monotonic() < deadline

    def home(self) -> None:
        self.say("2 home")
        self.say("1 home")
        self.wait()

    def to(self, x_um: float, y_um: float) -> None:
        self.say(f"1 1 move abs {round(x_um / X_STEP_UM)}")
        self.say(f"1 2 move abs {round(y_um / X_STEP_UM)}")
        self.wait()

    def z(self, z_um: float) -> None:
        self.say(f"2 1 move abs {round(z_um / Z_STEP_UM)}")
        self.wait()

    def close(self) -> None:
        self._serial.close()


def _sharpness(plane: np.ndarray) -> float:
    plane = plane.astype(np.float32)
    return float((cv2.Sobel(plane, cv2.CV_32F, 1, 0) ** 2 + cv2.Sobel(plane, cv2.CV_32F, 0, 1) ** 2).mean())


def _truth(path: Path) -> tuple[dict, dict[int, dict]]:
    header, *lines = (json.loads(line) for line in path.read_text().splitlines())
    return header, {line["frame_id"]: line for line in lines}


def test_stage_and_camera_show_one_world_and_the_truth_says_which(tmp_path: Path) -> None:
    """Raw serial commands move; the pictures are sharpest where the truth file says, whatever the stage's errors."""
    truth_path = tmp_path / "truth.jsonl"
    settings = load_settings(
        None, ["seed=2", "slide.serous.blank_share=0", "camera.width_px=964", "camera.height_px=604"]
    )
    with TwinProcess(settings, tmp_path / "run", truth=truth_path) as twin:
        assert twin.calibration.um_per_px == 0.293
        assert twin.reference_z_um == 3000.0
        stage, camera = _Stage(twin.port), TwinCamera(twin.camera)
        assert (camera.info().width_px, camera.info().height_px) == (964, 604)
        camera.configure(CameraSettings(5.0))
        stage.home()
        stage.z(2970.0)
        box = twin.specimen
        x, y = box.x_um + box.width_um / 2, box.y_um + box.height_um / 2
        curve: dict[int, tuple[float, float]] = {}
        for place in ((x, y), (x + 560.0, y)):
            stage.to(*place)
            for z_um in np.arange(2988.0, 3013.0, 2.0):
                stage.z(float(z_um))
                camera.trigger()
                frame = camera.grab(10.0)
                assert frame.status is FrameStatus.OK
                curve[frame.frame_id] = (place[0], _sharpness(green(frame)))
        stage.close()
        camera.close()
    header, truth = _truth(truth_path)
    assert header["content"] == "serous"
    assert set(truth) == set(curve)
    for place_x in (x, x + 560.0):
        frames = [frame_id for frame_id, (at, _) in curve.items() if at == place_x]
        best = max(frames, key=lambda frame_id: curve[frame_id][1])
        record = truth[best]
        assert not record["blank"]
        assert record["n_objects"] == sum(record["kinds"].values()) > 0
        assert abs(record["x_um"] - place_x) < 20.0
        # Steps of 2 µm: the sharpest picture is the one nearest to the true best focus, or its neighbour at a tie.
        assert abs(record["z_um"] - record["best_focus_z_um"]) < 1.6
        assert curve[best][1] > 1.5 * curve[frames[0]][1]


def test_a_move_during_the_exposure_is_part_of_it_and_one_after_it_is_not(tmp_path: Path) -> None:
    """The truth file tells the mean position during the exposure, which here lasts as long as a one-field move."""
    truth_path = tmp_path / "truth.jsonl"
    small = ["camera.width_px=320", "camera.height_px=240", "slide.content=empty"]
    left: dict[int, bool] = {}
    with TwinProcess(load_settings(None, small), tmp_path / "run", truth=truth_path) as twin:
        stage, camera = _Stage(twin.port), TwinCamera(twin.camera)
        camera.configure(CameraSettings(200.0))
        stage.home()
        x, y = twin.specimen.x_um + 2_000.0, twin.specimen.y_um + 2_000.0
        for too_early in (False, True):
            stage.to(x, y)
            time.sleep(0.3)  # the ringing of the way here is over
            camera.trigger()
            if not too_early:
                camera.exposed(10.0)
            stage.to(x + 560.0, y)
            left[camera.grab(10.0).frame_id] = too_early
        stage.close()
        camera.close()
    _, truth = _truth(truth_path)
    away = {left[frame_id]: abs(record["x_um"] - x) for frame_id, record in truth.items()}
    assert away[False] < 30.0
    assert away[True] > 100.0


def test_without_a_lamp_there_is_no_light(tmp_path: Path) -> None:
    small = ["camera.width_px=320", "camera.height_px=240", "faults.lamp_off=true"]
    with TwinProcess(load_settings(None, small), tmp_path) as twin:
        camera = TwinCamera(twin.camera)
        camera.trigger()
        assert camera.grab(10.0).pixels.mean() < 3.0
        camera.close()


def _start(run_dir: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "drivers.twin", "--run-dir", str(run_dir), *arguments]
    command += ["--set", "camera.width_px=320", "--set", "camera.height_px=240"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(tmp_path: Path, number: int) -> None:
    process = _start(tmp_path)
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    assert ready["ready"] is True
    assert set(ready) == {"ready", "port", "camera", "calibration", "specimen", "reference_z_um"}
    assert os.path.realpath(ready["port"]).startswith("/dev/pts/")
    process.send_signal(number)
    _, said = process.communicate(timeout=15)
    assert (process.returncode, said) == (0, b"")
    assert not Path(ready["camera"]).exists()
    assert not Path(ready["port"]).is_symlink()


def test_it_ends_with_whoever_started_it(tmp_path: Path) -> None:
    process = _start(tmp_path, "--until-stdin-closes")
    assert process.stdout is not None
    process.stdout.readline()
    _, said = process.communicate(b"", timeout=15)
    assert (process.returncode, said) == (0, b"")


@pytest.mark.parametrize(
    ("argument", "said"),
    [("optics.nna=1", "optics.nna: unknown key"), ("slide.content=pictures", "pictures.folder")],
)
def test_wrong_settings_end_it_with_the_reason(tmp_path: Path, argument: str, said: str) -> None:
    process = _start(tmp_path, "--set", argument)
    out, error = process.communicate(timeout=15)
    assert process.returncode == 2
    assert out == b""
    assert said in error.decode()
    assert "Traceback" not in error.decode()


def test_a_twin_that_cannot_start_says_why(tmp_path: Path) -> None:
    settings = load_settings(
        None, ["slide.content=pictures", f"slide.pictures.folder={tmp_path}", "slide.pictures.um_per_px=0.1"]
    )
    with pytest.raises(TwinNotStarted, match="picture"):
        TwinProcess(settings, tmp_path / "run").start()


def test_a_closed_twin_is_gone(tmp_path: Path) -> None:
    twin = TwinProcess(load_settings(None, ["camera.width_px=320", "camera.height_px=240"]), tmp_path).start()
    address = twin.camera
    twin.close()
    twin.close()
    with pytest.raises(CameraLost):
        TwinCamera(address)
