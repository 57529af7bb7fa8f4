"""A folder of pictures as a camera."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from drivers.camera.frame import CameraInfo, CameraSettings, Frame, FrameStatus, PixelFormat
from drivers.errors import CameraLost, FrameTimeout

_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"}
_NAMED = 5
_STILL = "Nothing was moved."


def _read(path: Path) -> NDArray[np.uint8] | None:
    """The picture as RGB (H, W, 3), or None when it cannot be read."""
    try:
        data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    except OSError:
        return None
    bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    return None if bgr is None else np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


class ReplayCamera:
    """`Camera` that shows the pictures of a folder in the order of their names. One owner thread.

    The first picture sets the frame size. With `loop`, starts again after the last; without, further triggers end in
    FrameTimeout.
    """

    def __init__(self, folder: Path | str, *, loop: bool = False) -> None:
        """Check every picture of `folder`. Raises CameraLost when there is none, or naming those that do not fit."""
        self._folder = Path(folder)
        self._loop = loop
        self._paths = self._pictures()
        first = self._checked()
        self._height_px, self._width_px = first
        self._settings = CameraSettings(exposure_ms=1.0)
        self._shown = 0
        self._pending: int | None = None
        self._trigger_ns = 0

    def _lost(self, what: str, remedy: str) -> CameraLost:
        return CameraLost(f"Replay camera: {what}", safe=_STILL, remedy=remedy)

    def _ended(self, timeout_s: float) -> FrameTimeout:
        return FrameTimeout(
            f"Replay camera: no further picture in {self._folder} (waited {timeout_s:g} s).",
            safe=_STILL,
            remedy="Add pictures, or play them in a loop.",
        )

    def _pictures(self) -> list[Path]:
        if not self._folder.is_dir():
            raise self._lost(f"{self._folder} is not a folder.", "Give the folder that holds the pictures.")
        paths = sorted(p for p in self._folder.iterdir() if p.suffix.lower() in _SUFFIXES)
        if not paths:
            raise self._lost(f"no pictures in {self._folder}.", "Give a folder with PNG, JPEG, TIFF or BMP pictures.")
        return paths

    def _checked(self) -> tuple[int, int]:
        """Height and width that all pictures share."""
        unreadable: list[str] = []
        sizes: dict[str, tuple[int, int]] = {}
        for path in self._paths:
            picture = _read(path)
            if picture is None:
                unreadable.append(path.name)
            else:
                sizes[path.name] = (picture.shape[0], picture.shape[1])
        if unreadable:
            raise self._lost(f"cannot read {_some(unreadable)} in {self._folder}.", "Remove or replace these files.")
        first = next(iter(sizes.values()))
        others = [name for name, size in sizes.items() if size != first]
        if others:
            raise self._lost(
                f"{_some(others)} differ in size from {self._paths[0].name} ({first[1]}×{first[0]} px).",
                "Put pictures of one size into the folder.",
            )
        return first

    def info(self) -> CameraInfo:
        """The folder as the model, and the size of its pictures."""
        return CameraInfo("replay", self._folder.name, self._width_px, self._height_px, PixelFormat.RGB8, 0.0)

    def configure(self, settings: CameraSettings) -> CameraSettings:
        """Recorded pictures cannot be exposed anew: settings are kept with the frames, and change nothing."""
        self._settings = settings
        return settings

    def trigger(self) -> None:
        """Choose the next picture."""
        self._trigger_ns = time.monotonic_ns()
        self._pending = None
        if self._loop or self._shown < len(self._paths):
            self._pending = self._shown
            self._shown += 1

    def exposed(self, timeout_s: float) -> None:
        """At once: a recorded picture takes no more light. Raises FrameTimeout after the last one."""
        if self._pending is None:
            raise self._ended(timeout_s)

    def grab(self, timeout_s: float) -> Frame:
        """The picture of the last trigger. Raises FrameTimeout after the last one, CameraLost when a file is gone."""
        if self._pending is None:
            raise self._ended(timeout_s)
        index, self._pending = self._pending, None
        path = self._paths[index % len(self._paths)]
        pixels = _read(path)
        if pixels is None or pixels.shape[:2] != (self._height_px, self._width_px):
            raise self._lost(f"{path} has gone or changed.", "Leave the folder alone while it is played.")
        return Frame(
            frame_id=index + 1,
            pixels=pixels,
            pixel_format=PixelFormat.RGB8,
            trigger_ns=self._trigger_ns,
            host_ns=time.monotonic_ns(),
            settings=self._settings,
            status=FrameStatus.OK,
        )

    def close(self) -> None:
        """Nothing to release."""
