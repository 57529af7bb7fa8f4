"""The size of the camera's pictures: as given, or as the camera says."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from functools import cache, partial
from typing import Annotated

import typer

from appliance.cli.hardware import open_camera
from appliance.settings import Settings
from engines.tensorrt.signature import FrameSize

Frame = Annotated[str | None, typer.Option(help="Size of the camera's pictures, as 1928x1208. Default: asks it.")]


def frame_from(given: str) -> FrameSize:
    """Width and height in pixels of "1928x1208". Raises BadParameter."""
    found = re.fullmatch(r"(\d{2,5})x(\d{2,5})", given)
    if found is None:
        raise typer.BadParameter("give width and height in pixels, as 1928x1208", param_hint="--frame")
    return FrameSize(height_px=int(found[2]), width_px=int(found[1]))


def frame_size(settings: Settings, given: str | None) -> Callable[[], FrameSize]:
    """Gives the size as it was said, or as the camera says, which is asked once, when the size is needed first.

    Raises BadParameter at once for what is no size; what is given raises SettingsError, DeviceError.
    """
    if given is None:
        return cache(partial(_of_camera, settings))
    size = frame_from(given)
    return lambda: size


def _of_camera(settings: Settings) -> FrameSize:
    with closing(open_camera(settings)) as camera:
        info = camera.info()
    return FrameSize(info.height_px, info.width_px)
