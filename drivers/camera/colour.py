"""From what the sensor delivers to what focus and networks look at."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from drivers.camera.frame import Frame, PixelFormat

# OpenCV names a Bayer layout by the second row's second and third pixels; red first in the first row is its "BG".
_RGGB_TO_RGB = cv2.COLOR_BayerBG2RGB


def demosaic(bayer: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bayer RGGB (H, W) uint8 to RGB (H, W, 3) uint8, bilinear."""
    return np.asarray(cv2.cvtColor(bayer, _RGGB_TO_RGB), dtype=np.uint8)


def to_rgb(frame: Frame) -> NDArray[np.uint8]:
    """The frame's picture as RGB (H, W, 3) uint8; Bayer frames are demosaicked, colour frames passed through."""
    if frame.pixel_format is PixelFormat.BAYER_RG8:
        return demosaic(frame.pixels)
    return frame.pixels


def green(frame: Frame) -> NDArray[np.uint8]:
    """A green plane of half the frame's rows and columns, uint8, C-contiguous, for focus.

    Bayer: the green pixels of the red rows as the sensor gave them, so that noise stays white and independent; colour:
    every second pixel of the green channel.
    """
    if frame.pixel_format is PixelFormat.BAYER_RG8:
        return np.ascontiguousarray(frame.pixels[0::2, 1::2])
    return np.ascontiguousarray(frame.pixels[0::2, 0::2, 1])
