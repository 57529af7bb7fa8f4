"""Displacements between pictures: to a few hundredths of a pixel, also where the camera shows something of its own."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.scan.settle.shift import CELL_PX, cells, displacement_px

ROWS, COLS = 480, 640
RNG = np.random.default_rng(7)


def scene() -> NDArray[np.float64]:
    """Blobs some green pixels wide, of a few grey levels, periodic."""
    along_rows, along_cols = np.meshgrid(np.fft.fftfreq(ROWS), np.fft.rfftfreq(COLS), indexing="ij")
    soft = np.exp(-((along_rows**2 + along_cols**2) * (2 * np.pi * 5.0) ** 2) / 2)
    blobs = np.fft.irfft2(np.fft.rfft2(RNG.standard_normal((ROWS, COLS))) * soft, (ROWS, COLS))
    return np.asarray(blobs / blobs.std() * 8.0)


def displaced(picture: NDArray[np.float64], columns_px: float, rows_px: float) -> NDArray[np.float64]:
    """By pixels of the sensor, of which a green plane has half."""
    along_rows, along_cols = np.meshgrid(np.fft.fftfreq(ROWS), np.fft.rfftfreq(COLS), indexing="ij")
    ramp = np.exp(-1j * np.pi * (along_cols * columns_px + along_rows * rows_px))
    return np.asarray(np.fft.irfft2(np.fft.rfft2(picture) * ramp, picture.shape))


def plane(picture: NDArray[np.float64], own: NDArray[np.float64] | float = 0.0) -> NDArray[np.uint8]:
    """What a camera with a pattern of its own delivers, with noise."""
    noisy = 150.0 + picture + own + RNG.normal(0.0, 1.3, picture.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("columns_px", "rows_px"), [(0.0, 0.0), (0.1, -0.2), (0.5, 0.0), (-2.3, 1.7), (7.9, 4.1), (-40.4, 33.3)]
)
def test_a_displacement_is_told_to_a_few_hundredths_of_a_pixel(columns_px: float, rows_px: float) -> None:
    picture = scene()
    still, other = cells(plane(picture)), cells(plane(displaced(picture, columns_px, rows_px)))
    assert still.shape == (ROWS // CELL_PX, COLS // CELL_PX)
    far = max(abs(columns_px), abs(rows_px))
    assert displacement_px(still, other) == pytest.approx((columns_px, rows_px), abs=0.03 + 0.03 * far)


def test_unequal_pixels_do_not_hold_a_displacement_back() -> None:
    """Their pattern stays where it is, and is of all frequencies; cells and weights leave little of it."""
    picture, own = scene(), RNG.normal(0.0, 1.3, (ROWS, COLS))
    still, other = cells(plane(picture, own)), cells(plane(displaced(picture, 1.0, 0.0), own))
    assert displacement_px(still, other)[0] == pytest.approx(1.0, abs=0.07)


def test_what_the_camera_shows_everywhere_holds_it_back_until_it_is_taken_off() -> None:
    picture, own = scene(), 2.0 * scene()
    still, other = cells(plane(picture, own)), cells(plane(displaced(picture, 4.0, 0.0), own))
    assert abs(displacement_px(still, other)[0]) < 2.0
    pattern = np.mean([cells(plane(scene(), own)) for _ in range(15)], axis=0).astype(np.float32)
    assert displacement_px(still - pattern, other - pattern)[0] == pytest.approx(4.0, abs=0.6)


def test_pictures_without_any_detail_are_not_displaced() -> None:
    empty = cells(np.full((ROWS, COLS), 200, np.uint8))
    assert displacement_px(empty, empty) == (0.0, 0.0)
