"""The twin's camera through its real process: what every camera must keep to."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from drivers.camera.frame import Camera, CameraSettings, FrameStatus, PixelFormat
from drivers.camera.twin import TwinCamera
from drivers.errors import CameraLost, FrameTimeout
from drivers.twin.camera_link import FrameReply, FrameRing, Hello, decode, encode
from drivers.twin.launch import TwinProcess
from drivers.twin.settings import load_settings

SMALL = ["camera.width_px=320", "camera.height_px=240", "camera.readout_ms=6", "slide.content=empty"]

Start = Callable[..., TwinProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[TwinProcess] = []

    def begin(*assignments: str) -> TwinProcess:
        folder = tmp_path / f"twin{len(running)}"
        running.append(TwinProcess(load_settings(None, [*SMALL, *assignments]), folder).start())
        return running[-1]

    yield begin
    for process in running:
        process.close()


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwinProcess]:
    with TwinProcess(load_settings(None, SMALL), tmp_path_factory.mktemp("twin")) as process:
        yield process


@pytest.fixture
def camera(twin: TwinProcess) -> Iterator[TwinCamera]:
    client = _connect(twin)
    yield client
    client.close()


def _connect(twin: TwinProcess) -> TwinCamera:
    """A client, as soon as the one before it has been let go."""
    deadline = time.monotonic() + 5.0
    while True:
        try:
            return TwinCamera(twin.camera)
        except CameraLost:
            assert time.monotonic() < deadline


def _shot(camera: Camera) -> np.ndarray:
    camera.trigger()
    frame = camera.grab(5.0)
    assert frame.status is FrameStatus.OK
    return frame.pixels


def test_frames_carry_what_they_were_taken_under(camera: TwinCamera) -> None:
    info = camera.info()
    assert (info.width_px, info.height_px, info.pixel_format) == (320, 240, PixelFormat.BAYER_RG8)
    settings = camera.configure(CameraSettings(4.0, 6.0))
    assert settings == CameraSettings(4.0, 6.0)
    ids = []
    for _ in range(12):
        before_ns = time.monotonic_ns()
        camera.trigger()
        frame = camera.grab(5.0)
        assert frame.status is FrameStatus.OK
        assert frame.pixels.shape == (240, 320)
        assert frame.pixels.dtype == np.uint8
        assert frame.settings == settings
        assert before_ns <= frame.trigger_ns <= frame.host_ns
        assert frame.host_ns - frame.trigger_ns >= 10e6, "exposure and readout take 10 ms"
        ids.append(frame.frame_id)
    assert ids == sorted(set(ids))
    assert camera.frames_lost == 0


def test_settings_beyond_the_cameras_range_are_clamped_and_told(camera: TwinCamera) -> None:
    assert camera.configure(CameraSettings(1e6, 99.0)) == CameraSettings(500.0, 24.0)
    assert camera.configure(CameraSettings(0.0, -3.0)) == CameraSettings(0.05, 0.0)
    bright = camera.configure(CameraSettings(5.0))
    assert bright == CameraSettings(5.0, 0.0)
    full = _shot(camera).mean()
    camera.configure(CameraSettings(2.5))
    assert _shot(camera).mean() - 1 == pytest.approx((full - 1) / 2, rel=0.03)


def test_a_frame_that_is_held_is_never_overwritten(camera: TwinCamera) -> None:
    held = _shot(camera)
    kept = held.copy()
    for _ in range(9):
        assert not np.array_equal(_shot(camera), kept)
    assert np.array_equal(held, kept)
    camera.close()
    camera.close()
    assert np.array_equal(held, kept)


def test_the_camera_says_when_an_exposure_is_over_and_not_before(camera: TwinCamera) -> None:
    camera.configure(CameraSettings(4.0))
    for _ in range(5):
        begun_ns = time.monotonic_ns()
        camera.trigger()
        camera.exposed(5.0)
        assert time.monotonic_ns() - begun_ns >= 4e6
        assert camera.grab(5.0).status is FrameStatus.OK
        assert time.monotonic_ns() - begun_ns >= 10e6


def test_a_lost_frame_is_a_timeout_and_a_gap(start: Start) -> None:
    camera = TwinCamera(start("faults.frame_lost=0.5", "seed=3").camera)
    outcomes, ids = [], []
    for _ in range(16):
        camera.trigger()
        camera.exposed(5.0)
        try:
            frame = camera.grab(0.5)
        except FrameTimeout:
            outcomes.append("lost")
        else:
            assert frame.status is FrameStatus.OK
            outcomes.append("ok")
            ids.append(frame.frame_id)
    assert 2 <= outcomes.count("lost") <= 14
    assert ids == [index + 1 for index, outcome in enumerate(outcomes) if outcome == "ok"]
    last_ok = len(outcomes) - outcomes[::-1].index("ok")
    assert camera.frames_lost == outcomes[:last_ok].count("lost")


def test_an_incomplete_frame_is_never_ok(start: Start) -> None:
    camera = TwinCamera(start("faults.frame_incomplete=1").camera)
    for _ in range(4):
        camera.trigger()
        assert camera.grab(5.0).status is FrameStatus.INCOMPLETE


def test_a_frame_older_than_its_trigger_is_stale(start: Start) -> None:
    camera = TwinCamera(start("faults.frame_stale=1").camera)
    statuses = []
    for _ in range(4):
        camera.trigger()
        statuses.append(camera.grab(5.0).status)
    # The very first frame has no older one that could stand in for it.
    assert statuses == [FrameStatus.OK, *[FrameStatus.STALE] * 3]


def test_a_killed_twin_is_a_lost_camera(start: Start) -> None:
    killed = start()
    camera = TwinCamera(killed.camera)
    _shot(camera)
    os.kill(killed.pid, signal.SIGKILL)
    begun = time.monotonic()
    with pytest.raises(CameraLost):
        _shoot_until(camera, begun + 10.0)
    assert time.monotonic() - begun < 5.0
    with pytest.raises(CameraLost, match="no camera at"):
        TwinCamera(killed.camera)


def _shoot_until(camera: TwinCamera, deadline_s: float) -> None:
    while time.monotonic() < deadline_s:
        camera.trigger()
        camera.grab(1.0)


def test_a_second_client_is_refused_until_the_first_has_gone(twin: TwinProcess, camera: TwinCamera) -> None:
    with pytest.raises(CameraLost, match="in use"):
        TwinCamera(twin.camera)
    _shot(camera)
    camera.close()
    again = _connect(twin)
    _shot(again)
    again.close()


def test_no_camera_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(CameraLost, match="no camera at"):
        TwinCamera(tmp_path / "camera.sock")


class _ScriptedServer:
    """The server's side of the link, played by hand, for answers that the real one would hardly ever give."""

    def __init__(self) -> None:
        self.ring, fd = FrameRing.create(4, 4, 6)
        self._near, self.far = socket.socketpair()
        hello = Hello("scripted", "0", 6, 4, 0.0, 5.0, 0.0, 4)
        socket.send_fds(self._near, [encode(hello)], [fd])
        os.close(fd)

    def say(self, message: FrameReply | dict[str, object]) -> None:
        self._near.sendall(encode(message))

    def read(self) -> dict[str, object]:
        return decode(self._near.recv(4096))


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> tuple[_ScriptedServer, TwinCamera]:
    server = _ScriptedServer()

    class Connected(socket.socket):
        def __init__(self, *_: object) -> None:
            super().__init__(fileno=server.far.detach())

        def connect(self, _: object) -> None:
            """It already is."""

    monkeypatch.setattr("drivers.camera.twin.socket.socket", Connected)
    return server, TwinCamera("anywhere")


def _reply(seq: int, frame_id: int, generation: int, slot: int = 0) -> FrameReply:
    return FrameReply(seq, frame_id, slot, generation, True, time.monotonic_ns(), 5.0, 0.0, 12.5)


def test_a_slot_that_was_overwritten_meanwhile_is_incomplete(scripted: tuple[_ScriptedServer, TwinCamera]) -> None:
    server, camera = scripted
    camera.trigger()
    assert server.read() == {"op": "trigger", "seq": 1}
    for generation in range(1, 6):
        server.ring.write(np.full((4, 6), generation, np.uint8), generation)
    server.say(_reply(1, 1, generation=1))
    assert camera.grab(1.0).status is FrameStatus.INCOMPLETE
    camera.trigger()
    server.say(_reply(2, 5, generation=5))
    frame = camera.grab(1.0)
    assert frame.status is FrameStatus.OK
    assert (frame.pixels == 5).all()
    assert camera.frames_lost == 3
    assert camera.render_excess_s == pytest.approx(0.025)


def test_an_answer_to_an_earlier_trigger_is_not_taken_for_the_new_one(
    scripted: tuple[_ScriptedServer, TwinCamera],
) -> None:
    server, camera = scripted
    slot = server.ring.write(np.full((4, 6), 7, np.uint8), 1)
    camera.trigger()
    with pytest.raises(FrameTimeout):
        camera.grab(0.05)
    camera.trigger()
    server.say(_reply(1, 1, 1, slot))
    with pytest.raises(FrameTimeout):
        camera.grab(0.05)
    slot = server.ring.write(np.full((4, 6), 8, np.uint8), 2)
    server.say({"op": "exposed", "seq": 2})
    server.say({"op": "rendering", "seq": 2})
    server.say(_reply(2, 2, 2, slot))
    assert (camera.grab(1.0).pixels == 8).all()


def test_the_end_of_an_earlier_exposure_is_not_taken_for_the_new_one(
    scripted: tuple[_ScriptedServer, TwinCamera],
) -> None:
    server, camera = scripted
    camera.trigger()
    camera.trigger()
    server.say({"op": "exposed", "seq": 1})
    with pytest.raises(FrameTimeout, match=r"no end of the exposure within 0\.05 s of trigger 2"):
        camera.exposed(0.05)
    server.say({"op": "exposed", "seq": 2})
    camera.exposed(1.0)
    slot = server.ring.write(np.full((4, 6), 8, np.uint8), 1)
    server.say(_reply(2, 1, 1, slot))
    assert (camera.grab(1.0).pixels == 8).all()


def test_nonsense_from_the_server_is_a_lost_camera(scripted: tuple[_ScriptedServer, TwinCamera]) -> None:
    server, camera = scripted
    camera.trigger()
    server.say({"op": "error", "message": "the lamp fell off"})
    with pytest.raises(CameraLost, match="the lamp fell off"):
        camera.grab(1.0)
