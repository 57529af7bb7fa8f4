"""The size of the stained patch under a finding: discs of known size, at any brightness and place."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.records import Finding
from appliance.scan.patches import patch_sizes_um

UM_PER_PX = 0.293


def picture(diameter_um: float, x_px: int, y_px: int, *, lamp: float = 1.0, blur_px: float = 0.0) -> NDArray[np.uint8]:
    """A disc of optical density 0.5 on a clear field."""
    drawn = np.full((400, 600, 3), 220.0 * lamp, np.float32)
    cv2.circle(drawn, (x_px, y_px), round(diameter_um / 2 / UM_PER_PX), (70.0 * lamp,) * 3, -1)
    if blur_px:
        drawn = np.asarray(cv2.GaussianBlur(drawn, (0, 0), blur_px), np.float32)
    return drawn.astype(np.uint8)


def at(x_px: float, y_px: float) -> Finding:
    return Finding(0, "malignant", 0.5, 0.0, 0.0, 0.0, x_px, y_px, 80.0, 80.0)


@pytest.mark.parametrize("diameter_um", [12.0, 30.0, 60.0])
@pytest.mark.parametrize("lamp", [1.0, 0.6])
def test_a_disc_has_its_diameter(diameter_um: float, lamp: float) -> None:
    (size,) = patch_sizes_um(picture(diameter_um, 300, 200, lamp=lamp), [at(300, 200)], UM_PER_PX)
    assert size == pytest.approx(diameter_um, abs=3.0)


def test_a_blurred_ball_keeps_its_size_within_a_few_micrometres() -> None:
    (size,) = patch_sizes_um(picture(40.0, 300, 200, blur_px=12), [at(300, 200)], UM_PER_PX)
    assert size == pytest.approx(40.0, abs=6.0)


def test_the_patch_may_lie_beside_the_finding_but_not_far_away() -> None:
    rgb = picture(30.0, 300, 200)
    beside, away = patch_sizes_um(rgb, [at(300 - 40, 200), at(500, 350)], UM_PER_PX)
    assert beside > 25
    assert away == 0


def test_a_finding_in_a_corner_is_measured_within_the_picture() -> None:
    (size,) = patch_sizes_um(picture(40.0, 0, 0), [at(-3.0, -2.0)], UM_PER_PX)
    assert 0 < size < 30


def test_single_cells_side_by_side_are_no_large_patch() -> None:
    rgb = np.full((400, 600, 3), 220, np.uint8)
    for row in range(5):
        for col in range(8):
            cv2.circle(rgb, (60 + 60 * col, 60 + 60 * row), 22, (90, 70, 130), -1)
    (size,) = patch_sizes_um(rgb, [at(300, 180)], UM_PER_PX)
    assert size < 16
