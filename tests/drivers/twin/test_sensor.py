"""The sensor's noise, shading and limits against the laws they are made from."""

import numpy as np
import pytest

from drivers.camera.colour import demosaic
from drivers.twin.sensor import Sensor, level_at, noise_law
from drivers.twin.settings import CameraModel

PLAIN = CameraModel(
    width_px=512, height_px=384, vignetting=0.0, sensor_dust=0, hot_pixels=0, flicker=0.0, colour_cast=(1.0, 1.0, 1.0)
)


def _planes(model: CameraModel, absorbed: float = 0.0) -> np.ndarray:
    return np.full((4, model.height_px // 2, model.width_px // 2), absorbed, np.float32)


def _frame(
    model: CameraModel,
    rng: np.random.Generator,
    *,
    absorbed: float = 0.0,
    exposure_ms: float = 5.0,
    gain_db: float = 0.0,
    lamp: float = 1.0,
) -> np.ndarray:
    return Sensor(model, 1).read(_planes(model, absorbed), exposure_ms, gain_db, lamp, rng)


@pytest.mark.parametrize("gain_db", [0.0, 12.0])
def test_noise_follows_the_photon_law(gain_db: float) -> None:
    """Variance over mean is a straight line: its slope is 1 / electrons per level, its offset the read noise."""
    rng = np.random.default_rng(5)
    means, variances = [], []
    for target in np.linspace(15, 220, 12):
        exposure_ms = target / level_at(PLAIN, 1.0, gain_db)
        one = _frame(PLAIN, rng, exposure_ms=exposure_ms, gain_db=gain_db).astype(float)
        two = _frame(PLAIN, rng, exposure_ms=exposure_ms, gain_db=gain_db).astype(float)
        means.append((one.mean() + two.mean()) / 2 - PLAIN.black_level)
        variances.append((one - two).var() / 2 - 1 / 12)
    slope, offset = np.polyfit(means, variances, 1)
    expected_slope, expected_offset = noise_law(PLAIN, gain_db)
    assert slope == pytest.approx(expected_slope, rel=0.05)
    assert offset == pytest.approx(expected_offset, abs=0.05 * max(variances))
    assert expected_slope == pytest.approx(255 / 32_000 * 10 ** (gain_db / 20))


def test_noise_is_white_and_new_in_every_frame() -> None:
    rng = np.random.default_rng(6)
    one, two = (_frame(PLAIN, rng, absorbed=0.3).astype(float) for _ in range(2))
    one, two = one - one.mean(), two - two.mean()
    assert abs((one * two).mean()) < 0.03 * one.var()
    assert abs((one[:, 1:] * one[:, :-1]).mean()) < 0.03 * one.var()
    assert abs((one[1:] * one[:-1]).mean()) < 0.03 * one.var()


def test_corners_are_darker_by_the_vignetting() -> None:
    model = PLAIN.model_copy(update={"vignetting": 0.08})
    frames = np.mean([_frame(model, np.random.default_rng(i)) for i in range(8)], axis=0) - model.black_level
    middle = frames[176:208, 240:272].mean()
    corners = np.mean([frames[:8, :8], frames[:8, -8:], frames[-8:, :8], frames[-8:, -8:]])
    assert corners / middle == pytest.approx(0.92, abs=0.01)


def test_light_and_gain_scale_the_signal_until_it_saturates() -> None:
    rng = np.random.default_rng(7)
    at = {ms: _frame(PLAIN, rng, exposure_ms=ms).mean() - PLAIN.black_level for ms in (1.0, 2.0, 4.0)}
    assert at[2.0] / at[1.0] == pytest.approx(2.0, rel=0.01)
    assert at[4.0] / at[1.0] == pytest.approx(4.0, rel=0.01)
    assert _frame(PLAIN, rng, exposure_ms=1.0, gain_db=6.0206).mean() - 1 == pytest.approx(at[2.0], rel=0.01)
    assert (_frame(PLAIN, rng, exposure_ms=20.0) == 255).all()
    assert level_at(PLAIN, PLAIN.nominal_exposure_ms, 0.0) == pytest.approx(0.8 * 255)


def test_without_the_lamp_only_read_noise_is_left() -> None:
    frame = _frame(PLAIN, np.random.default_rng(8), lamp=0.0)
    assert frame.max() <= PLAIN.black_level + 2
    sensor = Sensor(PLAIN, 1)
    assert sensor.lamp(0.0, np.random.default_rng(0), on=False) == 0.0
    assert sensor.lamp(36_000.0, np.random.default_rng(0)) == pytest.approx(1 - 0.03, abs=1e-6)


def test_colours_are_on_their_bayer_sites() -> None:
    sensor = Sensor(PLAIN, 1, illumination=(0.5, 1.0, 0.25))
    bayer = sensor.read(_planes(PLAIN), 5.0, 0.0, 1.0, np.random.default_rng(9))
    sites = {name: bayer[r::2, c::2].mean() for name, (r, c) in {"R": (0, 0), "G": (0, 1), "B": (1, 1)}.items()}
    assert sites["R"] / sites["G"] == pytest.approx(0.5, abs=0.01)
    assert sites["B"] / sites["G"] == pytest.approx(0.25, abs=0.01)
    assert bayer[1::2, 0::2].mean() == pytest.approx(sites["G"], rel=0.01)
    red, green, blue = demosaic(bayer).reshape(-1, 3).mean(axis=0)
    assert (red, green, blue) == pytest.approx((sites["R"], sites["G"], sites["B"]), rel=0.01)


def test_hot_pixels_and_dust_stay_where_they_are() -> None:
    model = PLAIN.model_copy(update={"hot_pixels": 20, "sensor_dust": 5})
    dark = [_frame(model, np.random.default_rng(i), lamp=0.0) for i in range(2)]
    hot = [set(zip(*np.nonzero(frame > 10), strict=True)) for frame in dark]
    assert 10 <= len(hot[0]) <= 20
    assert len(hot[0] & hot[1]) >= 0.9 * len(hot[0])
    bright = np.mean([_frame(model, np.random.default_rng(i)) for i in range(16)], axis=0)
    assert np.percentile(bright, 0.1) < 0.985 * np.median(bright)
