"""The twin's camera: answers triggers on a Unix socket with frames in shared memory. See `camera_link`."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.twin.camera_link import MAX_LINE_BYTES, FrameReply, FrameRing, Hello, decode, encode, reachable
from drivers.twin.exposing import Shutter
from drivers.twin.field_builder import BuilderStopped, FieldBuilder
from drivers.twin.mechanics import Mechanics
from drivers.twin.sensor import Sensor
from drivers.twin.settings import TwinSettings
from drivers.twin.truth import Exposed, TruthFile

MODEL = "CytoScan twin camera"

_END_S = 5.0
_LET_GO_S = 2.0
"""How long a new client waits for a former one, which may have died during an exposure, to be noticed as gone."""


def _sleep_until(then_ns: int) -> int:
    """Sleep until this moment of the monotonic clock; how many nanoseconds were left, negative when it had passed."""
    left_ns = then_ns - time.monotonic_ns()
    if left_ns > 0:
        time.sleep(left_ns / 1e9)
    return left_ns


@dataclass(frozen=True)
class Scenery:
    """What the camera looks at: axes that move, fields that are built, a sensor, and where the truth goes."""

    mechanics: Mechanics
    builder: FieldBuilder
    sensor: Sensor
    truth: TruthFile | None


class CameraServer:
    """Listens on `address` from construction until `close`. One client at a time; others are refused.

    The rendering of a frame begins when its exposure is over: until then the stage may still be sent elsewhere, and a
    frame that it left too early has to show that.
    """

    def __init__(self, address: Path, settings: TwinSettings, scenery: Scenery) -> None:
        self._settings = settings
        self._scenery = scenery
        self._camera = settings.camera
        self._rng = np.random.default_rng([settings.seed, 0xF0])
        self._ring, self._ring_fd = FrameRing.create(self._camera.slots, self._camera.height_px, self._camera.width_px)
        self._exposure_ms = self._camera.nominal_exposure_ms
        self._gain_db = 0.0
        self._frame_id = 0
        self._last: FrameReply | None = None
        self._started_s = time.monotonic()
        self._in_use = threading.Lock()
        self._client: socket.socket | None = None
        self._address = address
        address.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with reachable(address) as name:
            self._listener.bind(name)
        self._listener.listen()
        self._thread = threading.Thread(target=self._accept, name="twin-camera", daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), name="twin-camera-client", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            if not self._in_use.acquire(timeout=_LET_GO_S):
                client.sendall(encode({"op": "error", "message": "the camera is in use"}))
                return
            try:
                self._client = client
                socket.send_fds(client, [encode(self._hello())], [self._ring_fd])
                with client.makefile("rb") as lines:
                    while line := lines.readline(MAX_LINE_BYTES):
                        answer = self._answer(client, line)
                        if answer is not None:
                            client.sendall(answer)
            finally:
                self._client = None
                self._in_use.release()

    def _hello(self) -> Hello:
        camera = self._camera
        return Hello(
            model=MODEL,
            serial=f"TWIN-{self._settings.seed}",
            width_px=camera.width_px,
            height_px=camera.height_px,
            readout_ms=camera.readout_ms,
            exposure_ms=self._exposure_ms,
            gain_db=self._gain_db,
            slots=camera.slots,
        )

    def _answer(self, client: socket.socket, line: bytes) -> bytes | None:
        try:
            request = decode(line)
            if request["op"] == "configure":
                return self._configure(request)
            if request["op"] == "trigger":
                seq = int(request["seq"])
                reply = self._expose(seq, lambda op: client.sendall(encode({"op": op, "seq": seq})))
                return None if reply is None else encode(reply)
            return encode({"op": "error", "message": f"unknown request {request['op']!r}"})
        except (KeyError, TypeError, ValueError) as error:
            return encode({"op": "error", "message": f"bad request: {error!r}"})
        except BuilderStopped as error:
            return encode({"op": "error", "message": error.what})

    def _configure(self, request: dict[str, Any]) -> bytes:
        camera = self._camera
        exposure_ms, gain_db = float(request["exposure_ms"]), float(request["gain_db"])
        self._exposure_ms = min(max(exposure_ms, camera.min_exposure_ms), camera.max_exposure_ms)
        self._gain_db = min(max(gain_db, 0.0), camera.max_gain_db)
        return encode({"op": "configure", "exposure_ms": self._exposure_ms, "gain_db": self._gain_db})

    def _expose(self, seq: int, say: Callable[[str], None]) -> FrameReply | None:
        """Take one frame; None when it gets lost on the way. say: tells the client how far it is."""
        start_ns = time.monotonic_ns()
        faults, rng = self._settings.faults, self._rng
        lost, stale, incomplete = rng.random(3) < (faults.frame_lost, faults.frame_stale, faults.frame_incomplete)
        self._frame_id += 1
        over_ns = start_ns + round(self._exposure_ms * 1e6)
        _sleep_until(over_ns)
        say("exposed")
        pixels = self._render(start_ns, lambda: say("rendering"))
        rows = self._camera.height_px // 2 if incomplete else None
        generation = self._frame_id
        slot = self._ring.write(pixels, generation, rows)
        left_ns = _sleep_until(over_ns + round(self._camera.readout_ms * 1e6))
        reply = FrameReply(
            seq=seq,
            frame_id=self._frame_id,
            slot=slot,
            generation=generation,
            complete=not incomplete,
            start_ns=start_ns,
            exposure_ms=self._exposure_ms,
            gain_db=self._gain_db,
            render_ms=max(0.0, -left_ns / 1e6),
        )
        before, self._last = self._last, reply
        if lost:
            return None
        return replace(before, seq=seq) if stale and before is not None else reply

    def _render(self, start_ns: int, waiting: Callable[[], None]) -> NDArray[np.uint8]:
        """The picture that the exposure from `start_ns` on has given; writes its truth."""
        scenery = self._scenery
        shutter = Shutter(
            self._settings, scenery.mechanics, scenery.sensor, lambda x, y: scenery.builder.field(x, y, waiting)
        )
        start_s = start_ns / 1e9
        picture = shutter.open(start_s, start_s - self._started_s, self._exposure_ms, self._gain_db, self._rng)
        if scenery.truth is not None:
            middle_ns = start_ns + round(self._exposure_ms * 5e5)
            exposed = Exposed(self._frame_id, middle_ns, picture.x_um, picture.y_um, picture.z_um)
            scenery.truth.exposure(exposed, picture.field)
        return picture.pixels

    def close(self) -> None:
        """Stop listening and drop the client; safe to call twice."""
        for end in (self._listener, self._client):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(_END_S)
        if self._address.exists():
            self._address.unlink()
            os.close(self._ring_fd)
