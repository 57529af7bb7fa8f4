from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from drivers.twin.surface import SmoothField, Surface, SurfaceSettings

FLAT = SurfaceSettings(tilt_sigma_mrad=0.0, bow_sagitta_um=0.0, waviness_rms_um=0.0, topography_rms_um=0.0)


def test_same_seed_same_surface_and_other_seed_another() -> None:
    x, y = np.linspace(0, 76_000, 40), np.linspace(0, 26_000, 40)
    first = Surface(SurfaceSettings(), 3).height_um(x, y)
    assert np.array_equal(first, Surface(SurfaceSettings(), 3).height_um(x, y))
    assert np.abs(first - Surface(SurfaceSettings(), 4).height_um(x, y)).max() > 1.0


def test_grid_and_points_agree() -> None:
    surface = Surface(SurfaceSettings(), 8)
    x, y = 38_000 + np.arange(50) * 7.3, 13_000 + np.arange(30) * 5.1
    grid = surface.on_grid(x, y)
    assert grid.shape == (30, 50)
    assert np.abs(grid - surface.height_um(x[None, :], y[:, None])).max() < 2e-3


def test_tilt_spreads_over_slides_as_set() -> None:
    settings = FLAT.model_copy(update={"tilt_sigma_mrad": 0.5})
    slopes = []
    for seed in range(300):
        surface = Surface(settings, seed)
        slopes.append(float(surface.height_um(39_000.0, 13_000.0) - surface.height_um(38_000.0, 13_000.0)))
    assert 0.43 < np.std(slopes) < 0.57  # µm per mm is mrad
    assert abs(np.mean(slopes)) < 0.1


def test_bow_is_as_high_as_its_sagitta_over_its_span() -> None:
    settings = FLAT.model_copy(update={"bow_sagitta_um": 8.0, "bow_span_um": 75_000.0})
    surface = Surface(settings, 1)
    ends = surface.height_um(np.array([38_000.0 - 37_500.0, 38_000.0 + 37_500.0]), 13_000.0)
    assert surface.height_um(38_000.0, 13_000.0) - ends == pytest.approx([8.0, 8.0])


@pytest.mark.parametrize(("length_um", "rms"), [(6_000.0, 1.0), (300.0, 0.7)])
def test_smooth_field_has_the_rms_and_correlation_length_asked_for(length_um: float, rms: float) -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate(
        [
            SmoothField(rms, length_um, np.random.default_rng(seed)).at(
                rng.uniform(0, 80 * length_um, 200), rng.uniform(0, 80 * length_um, 200)
            )
            for seed in range(30)
        ]
    )
    assert np.std(values) == pytest.approx(rms, rel=0.05)
    pairs = np.array(
        [
            SmoothField(rms, length_um, np.random.default_rng(seed)).at(np.array([0.0, length_um]), np.zeros(2))
            for seed in range(3_000)
        ]
    )
    assert np.corrcoef(pairs.T)[0, 1] == pytest.approx(np.exp(-0.5), abs=0.04)


def test_topography_default_yields_to_the_settings() -> None:
    x = np.linspace(0, 30_000, 500)
    given = Surface(FLAT.model_copy(update={"topography_rms_um": 2.0}), 5, topography_rms_um=0.4).height_um(x, 13_000.0)
    default = Surface(FLAT.model_copy(update={"topography_rms_um": None}), 5, 0.4).height_um(x, 13_000.0)
    assert given == pytest.approx(default * 5.0)


@pytest.mark.parametrize(
    "wrong", [{"tilt_sigma_mrad": -1.0}, {"waviness_length_um": 0.0}, {"topography_rms_um": 99.0}, {"tilt": 1.0}]
)
def test_nonsense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        SurfaceSettings.model_validate(wrong)
