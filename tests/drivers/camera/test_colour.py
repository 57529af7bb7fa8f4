"""Bayer to RGB: no plane may be swapped or shifted."""

import numpy as np
import pytest

from drivers.camera.colour import demosaic, green, to_rgb
from drivers.camera.frame import CameraSettings, Frame, FrameStatus, PixelFormat


def _frame(pixels: np.ndarray, pixel_format: PixelFormat) -> Frame:
    return Frame(1, pixels, pixel_format, 1, 2, CameraSettings(5.0), FrameStatus.OK)


def _bayer(rgb: np.ndarray) -> np.ndarray:
    mosaic = rgb[:, :, 1].copy()
    mosaic[0::2, 0::2] = rgb[0::2, 0::2, 0]
    mosaic[1::2, 1::2] = rgb[1::2, 1::2, 2]
    return mosaic


@pytest.mark.parametrize("colour", [(200, 100, 50), (10, 250, 90), (30, 40, 240)])
def test_a_plain_colour_comes_back(colour: tuple[int, int, int]) -> None:
    rgb = np.full((16, 24, 3), colour, np.uint8)
    assert (to_rgb(_frame(_bayer(rgb), PixelFormat.BAYER_RG8)) == rgb).all()


def test_a_gradient_comes_back_in_its_place() -> None:
    y, x = np.mgrid[0:32, 0:48]
    rgb = np.stack([20 + 4 * x, 10 + 5 * y, 200 - 3 * x], axis=2).astype(np.uint8)
    error = np.abs(demosaic(_bayer(rgb)).astype(int) - rgb)[2:-2, 2:-2]
    assert error.max() <= 1


def test_colour_frames_pass_through() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    assert to_rgb(_frame(rgb, PixelFormat.RGB8)) is rgb


def test_green_is_the_sensors_own_pixels() -> None:
    bayer = np.arange(64, dtype=np.uint8).reshape(8, 8)
    plane = green(_frame(bayer, PixelFormat.BAYER_RG8))
    assert (plane == bayer[0::2, 1::2]).all()
    assert plane.flags.c_contiguous
    rgb = np.random.default_rng(1).integers(0, 256, (8, 10, 3), np.uint8)
    assert (green(_frame(rgb, PixelFormat.RGB8)) == rgb[0::2, 0::2, 1]).all()
