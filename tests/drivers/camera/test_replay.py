"""A folder of pictures as a camera."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from drivers.camera.frame import CameraSettings, FrameStatus, PixelFormat
from drivers.camera.replay import ReplayCamera
from drivers.errors import CameraLost, FrameTimeout


def _write(folder: Path, name: str, level: int, size: tuple[int, int] = (40, 60)) -> None:
    picture = np.zeros((*size, 3), np.uint8)
    picture[:, :, 2] = level
    cv2.imwrite(str(folder / name), picture)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, level in (("b.png", 20), ("a.png", 10), ("c.png", 30)):
        _write(tmp_path, name, level)
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def test_pictures_come_in_the_order_of_their_names_as_rgb(folder: Path) -> None:
    camera = ReplayCamera(folder)
    info = camera.info()
    assert (info.width_px, info.height_px, info.pixel_format) == (60, 40, PixelFormat.RGB8)
    settings = camera.configure(CameraSettings(7.0, 3.0))
    frames = []
    for _ in range(3):
        camera.trigger()
        camera.exposed(1.0)
        frames.append(camera.grab(1.0))
    assert [int(frame.pixels[0, 0, 0]) for frame in frames] == [10, 20, 30]
    assert frames[0].pixels[0, 0, 1:].tolist() == [0, 0]
    assert [frame.frame_id for frame in frames] == [1, 2, 3]
    assert all(f.status is FrameStatus.OK and f.settings == settings and f.host_ns >= f.trigger_ns for f in frames)


def test_after_the_last_picture_there_is_none(folder: Path) -> None:
    camera = ReplayCamera(folder)
    for _ in range(3):
        camera.trigger()
        camera.grab(1.0)
    camera.trigger()
    with pytest.raises(FrameTimeout, match="no further picture"):
        camera.grab(0.1)


def test_a_loop_starts_again_with_new_ids(folder: Path) -> None:
    camera = ReplayCamera(folder, loop=True)
    seen = []
    for _ in range(5):
        camera.trigger()
        frame = camera.grab(1.0)
        seen.append((frame.frame_id, int(frame.pixels[0, 0, 0])))
    assert seen == [(1, 10), (2, 20), (3, 30), (4, 10), (5, 20)]


def test_without_a_trigger_there_is_no_picture(folder: Path) -> None:
    camera = ReplayCamera(folder)
    with pytest.raises(FrameTimeout):
        camera.grab(0.1)
    with pytest.raises(FrameTimeout):
        camera.exposed(0.1)
    camera.trigger()
    camera.grab(0.1)
    with pytest.raises(FrameTimeout):
        camera.grab(0.1)


def test_unreadable_pictures_are_named(folder: Path) -> None:
    (folder / "d.png").write_bytes(b"this is no picture")
    (folder / "e.jpg").write_bytes(b"")
    with pytest.raises(CameraLost, match=r"cannot read d\.png, e\.jpg"):
        ReplayCamera(folder)


def test_pictures_of_another_size_are_named(folder: Path) -> None:
    _write(folder, "odd.png", 5, (41, 60))
    with pytest.raises(CameraLost, match=r"odd\.png differ in size from a\.png \(60×40 px\)"):
        ReplayCamera(folder)


def test_a_missing_or_empty_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(CameraLost, match="not a folder"):
        ReplayCamera(tmp_path / "nothing")
    with pytest.raises(CameraLost, match="no pictures"):
        ReplayCamera(tmp_path)


def test_a_picture_that_vanishes_is_a_lost_camera(folder: Path) -> None:
    camera = ReplayCamera(folder)
    (folder / "a.png").unlink()
    camera.trigger()
    with pytest.raises(CameraLost, match="gone or changed"):
        camera.grab(1.0)


def test_real_pictures_play(real_data: Path) -> None:
    camera = ReplayCamera(real_data / "zn_sputum_fields")
    assert (camera.info().width_px, camera.info().height_px) == (1296, 972)
    camera.trigger()
    assert camera.grab(1.0).pixels.shape == (972, 1296, 3)
