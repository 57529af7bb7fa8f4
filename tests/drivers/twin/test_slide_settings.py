from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from drivers.twin.slide import Interval, SlideSettings, SputumSettings, Stain
from drivers.twin.slide.stains import draw_illumination, draw_palette


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"content": "blood"}, "content"),
        ({"contents": "serous"}, "contents"),
        ({"serous": {"malignant": 0.6}}, "malignant"),
        ({"serous": {"malignant": -0.1}}, "malignant"),
        ({"serous": {"malignnant": 0.1}}, "malignnant"),
        ({"serous": {"nucleated_per_field": {"low": 700, "high": 70}}}, "above"),
        ({"serous": {"blank_share": 0.9}}, "blank_share"),
        ({"sputum": {"afb_per_mm2": 3.0, "afb_per_hpf": 1.0}}, "not both"),
        ({"sputum": {"clumping": 0.0}}, "clumping"),
        ({"clutter": {"dust_per_mm2": -1}}, "dust_per_mm2"),
        ({"surface": {"tilt_sigma_mrad": 100}}, "tilt_sigma_mrad"),
        ({"content": "pictures"}, "folder"),
        ({"content": "pictures", "pictures": {"folder": "somewhere"}}, "um_per_px"),
    ],
)
def test_wrong_settings_are_refused_by_name(wrong: dict[str, object], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        SlideSettings.model_validate(wrong)


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValidationError):
        SlideSettings().content = "empty"


def test_complete_picture_settings_are_accepted() -> None:
    settings = SlideSettings.model_validate(
        {"content": "pictures", "pictures": {"folder": "somewhere", "um_per_px": 0.088}}
    )
    assert settings.pictures.folder == Path("somewhere")


def test_bacilli_per_high_power_field_become_per_mm2() -> None:
    assert SputumSettings(afb_per_hpf=10.0).density_per_mm2 == pytest.approx(318.47, abs=0.01)
    assert SputumSettings(afb_per_mm2=7.0).density_per_mm2 == 7.0
    assert SputumSettings().density_per_mm2 == 0.0


def test_an_interval_may_be_a_point() -> None:
    assert Interval(low=3.0, high=3.0).low == 3.0


@pytest.mark.parametrize("stain", [Stain.PAP, Stain.LIU, None])
def test_stains_vary_between_slides_as_set(stain: Stain | None) -> None:
    rng = np.random.default_rng(1)
    still = draw_palette(stain, 0.0, 0.0, rng)["nucleus"]
    drawn = np.stack([draw_palette(stain, 0.15, 4.5, rng)["nucleus"] for _ in range(400)])
    strength = np.linalg.norm(drawn, axis=1)
    angle = np.degrees(np.arccos(np.clip(drawn @ still / strength, -1.0, 1.0)))
    assert 0.13 < np.std(np.log(strength)) < 0.18
    assert 3.0 < np.median(angle) < 6.0
    assert drawn.min() > 0.0


@pytest.mark.parametrize("stain", [Stain.PAP, Stain.LIU, None])
def test_light_is_relative_to_its_brightest_channel(stain: Stain | None) -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        light = draw_illumination(stain, rng)
        assert max(light) == 1.0
        assert min(light) > 0.55
