"""The twin's camera: a client of the camera server in the twin's process."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

from drivers.camera.frame import CameraInfo, CameraSettings, Frame, FrameStatus, PixelFormat
from drivers.errors import CameraLost, FrameTimeout
from drivers.twin.camera_link import MAX_LINE_BYTES, FrameReply, FrameRing, Hello, decode, encode, reachable

_ANSWER_S = 5.0
_REMEDY = "Check that the twin is running, then scan again."


class TwinCamera:
    """`Camera` over the twin's socket. One owner thread.

    render_excess_s: what the twin's rendering took beyond exposure and readout, summed over all frames grabbed; a
    bench subtracts it, because a real camera has no such cost.
    """

    def __init__(self, address: Path | str) -> None:
        """Connect to the socket at `address`. Raises CameraLost when nobody answers there."""
        self._address = str(address)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._received = b""
        self._seq = 0
        self._trigger_ns = 0
        self._last_frame_id = 0
        self.render_excess_s = 0.0
        self.frames_lost = 0
        try:
            self._socket.settimeout(_ANSWER_S)
            with reachable(Path(self._address)) as name:
                self._socket.connect(name)
            self._hello, self._ring = self._greet()
        except (OSError, KeyError, TypeError, ValueError) as error:
            self._socket.close()
            raise self._lost(f"no camera at {self._address}: {error}.") from error

    def _greet(self) -> tuple[Hello, FrameRing]:
        data, fds, _, _ = socket.recv_fds(self._socket, MAX_LINE_BYTES, 1)
        try:
            line, _, self._received = data.partition(b"\n")
            message = decode(line)
            if message["op"] == "error":
                raise ValueError(message["message"])
            hello = Hello(**message)
            ring = FrameRing(fds[0], hello.slots, hello.height_px, hello.width_px, writable=False)
        except IndexError as error:
            raise ValueError("the server sent no frame memory") from error
        finally:
            for fd in fds:
                os.close(fd)
        return hello, ring

    def _lost(self, what: str) -> CameraLost:
        return CameraLost(f"Twin camera: {what}", safe="The stage is not affected.", remedy=_REMEDY)

    def _send(self, message: dict[str, object]) -> None:
        try:
            self._socket.settimeout(_ANSWER_S)
            self._socket.sendall(encode(message))
        except OSError as error:
            raise self._lost(f"the connection to {self._address} broke: {error}.") from error

    def _line(self, deadline_s: float) -> bytes | None:
        """The next line from the server, or None at the deadline (monotonic seconds)."""
        while b"\n" not in self._received:
            try:
                self._socket.settimeout(max(deadline_s - time.monotonic(), 1e-3))
                data = self._socket.recv(MAX_LINE_BYTES)
            except TimeoutError:
                return None
            except OSError as error:
                raise self._lost(f"the connection to {self._address} broke: {error}.") from error
            if not data:
                raise self._lost("the server closed the connection.")
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line

    def _answer(self, deadline_s: float) -> dict[str, Any] | None:
        line = self._line(deadline_s)
        if line is None:
            return None
        try:
            return decode(line)
        except ValueError as error:
            raise self._lost(f"the server sent something that is no message: {error}.") from error

    def info(self) -> CameraInfo:
        """Model, serial number and frame size."""
        h = self._hello
        return CameraInfo(h.model, h.serial, h.width_px, h.height_px, PixelFormat(h.pixel_format), h.readout_ms)

    def configure(self, settings: CameraSettings) -> CameraSettings:
        """Ask for exposure and gain; returns those in force, which the camera clamps to its range."""
        self._send({"op": "configure", "exposure_ms": settings.exposure_ms, "gain_db": settings.gain_db})
        deadline = time.monotonic() + _ANSWER_S
        while (answer := self._answer(deadline)) is not None:
            if answer["op"] == "configure":
                return CameraSettings(float(answer["exposure_ms"]), float(answer["gain_db"]))
            if answer["op"] == "error":
                raise self._lost(f"the server refused the settings: {answer['message']}.")
        raise self._lost(f"no answer within {_ANSWER_S} s.")

    def trigger(self) -> None:
        """Start one exposure now."""
        self._seq += 1
        self._trigger_ns = time.monotonic_ns()
        self._send({"op": "trigger", "seq": self._seq})

    def exposed(self, timeout_s: float) -> None:
        """Wait for the server's word that the exposure of the last trigger is over. Raises FrameTimeout, CameraLost."""
        self._heard("exposed", timeout_s)

    def grab(self, timeout_s: float) -> Frame:
        """The frame of the last trigger; a copy of the pixels.

        Raises FrameTimeout when the last trigger brought nothing within `timeout_s`, not counting what the twin needs
        to render; CameraLost when the twin is gone.
        """
        return self._frame(FrameReply(**self._heard("frame", timeout_s)))

    def _heard(self, op: str, timeout_s: float) -> dict[str, Any]:
        """What the server says under this name of the last trigger; what it says late of earlier ones is dropped."""
        deadline = time.monotonic() + timeout_s
        while (answer := self._answer(deadline)) is not None:
            if answer["op"] == "error":
                raise self._lost(f"the server reports: {answer['message']}.")
            if answer.get("seq") != self._seq:
                continue
            if answer["op"] == "rendering":
                deadline = time.monotonic() + timeout_s
            if answer["op"] == op:
                return answer
        missing = {"exposed": "no end of the exposure", "frame": "no frame"}[op]
        raise FrameTimeout(
            f"Twin camera: {missing} within {timeout_s:g} s of trigger {self._seq}.",
            safe="The stage is not affected.",
            remedy="Trigger again; if it repeats, check the twin.",
        )

    def _frame(self, reply: FrameReply) -> Frame:
        pixels, whole = self._ring.read(reply.slot, reply.generation)
        arrived_ns = time.monotonic_ns()
        self.render_excess_s += reply.render_ms / 1e3
        status = FrameStatus.OK
        if reply.start_ns < self._trigger_ns or reply.frame_id <= self._last_frame_id:
            status = FrameStatus.STALE
        elif not (whole and reply.complete):
            status = FrameStatus.INCOMPLETE
        if reply.frame_id > self._last_frame_id:
            self.frames_lost += reply.frame_id - self._last_frame_id - 1
            self._last_frame_id = reply.frame_id
        return Frame(
            frame_id=reply.frame_id,
            pixels=pixels,
            pixel_format=PixelFormat(self._hello.pixel_format),
            trigger_ns=self._trigger_ns,
            host_ns=arrived_ns,
            settings=CameraSettings(reply.exposure_ms, reply.gain_db),
            status=status,
        )

    def close(self) -> None:
        """Release the device; safe to call twice."""
        self._socket.close()
        self._ring.close()
