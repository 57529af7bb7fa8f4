"""Image quality says what is in the picture, and only what cannot be read is refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.records import Outcome
from appliance.scan.quality import classify, measure_quality


def field(level: float = 200.0, noise: float = 2.0, seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    picture = np.array([0.98, 1.0, 0.9]) * level + rng.normal(0, noise, (384, 512, 3))
    return picture.clip(0, 255).astype(np.uint8)


def stained(share: float, blur: float = 0.0) -> NDArray[np.uint8]:
    """Dark blue discs over about a share of the picture, blurred before the sensor adds its noise."""
    picture, rng = field(noise=0.0), np.random.default_rng(3)
    for _ in range(round(share * 384 * 512 / (np.pi * 12**2))):
        centre = (int(rng.integers(0, 512)), int(rng.integers(0, 384)))
        cv2.circle(picture, centre, 12, (70, 60, 130), -1)
    seen = cv2.GaussianBlur(picture, (0, 0), blur) if blur else picture
    return (seen + rng.normal(0, 2, seen.shape)).clip(0, 255).astype(np.uint8)


def test_background_is_the_clear_part_whatever_lies_on_it() -> None:
    for picture in (field(), stained(0.3)):
        assert measure_quality(picture).background_rgb == pytest.approx((196, 200, 180), abs=4)


def test_cover_and_density_follow_the_stain() -> None:
    little, much = measure_quality(stained(0.05)), measure_quality(stained(0.4))
    assert 0.02 < little.covered < 0.15 < much.covered < 0.6
    assert much.stain_od == pytest.approx(np.log10(200 / 60), abs=0.15)
    assert measure_quality(field()).covered < 0.001


def test_sharpness_falls_with_blur() -> None:
    values = [measure_quality(stained(0.2, blur)).sharpness for blur in (0.0, 1.5, 4.0)]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize(
    ("picture", "reason"),
    [(np.full((384, 512, 3), 12, np.uint8), "obscured"), (np.full((384, 512, 3), 255, np.uint8), "overexposed")],
)
def test_what_cannot_be_read_fails_with_its_reason(picture: NDArray[np.uint8], reason: str) -> None:
    assert classify(measure_quality(picture)) == (Outcome.FAILED, reason)


def test_half_under_ink_fails_and_a_corner_does_not() -> None:
    picture = stained(0.2)
    picture[:250] = 8
    assert classify(measure_quality(picture)) == (Outcome.FAILED, "obscured")
    picture = stained(0.2)
    picture[:60, :80] = 8
    quality = measure_quality(picture)
    assert 0.01 < quality.obscured < 0.05
    assert classify(quality) == (Outcome.USABLE, "")


def test_a_pale_field_is_readable() -> None:
    assert classify(measure_quality(field())) == (Outcome.USABLE, "")
