"""Bands are sums over rings of an ordinary Fourier transform, however it is packed and wherever it is computed."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.scan.focus.bands import BANDS, RINGS, bands_of, measure_bands
from appliance.scan.focus.baseline import Baseline
from appliance.scan.focus.measure import colour_planes

from .painted import bayer, cells, frame

BASELINE = Baseline(0.008, (215.0, 220.0, 200.0))
SIDE = 192


def by_definition(plane: np.ndarray) -> np.ndarray:
    """Power per sample by ring of a plane (192, 256): tile by tile, the whole spectrum, in double precision."""
    window = np.outer(np.hanning(SIDE), np.hanning(SIDE))
    window /= np.sqrt((window**2).mean())
    tiles = [plane[:, :SIDE], plane[:, -SIDE:]][: plane.shape[1] // SIDE]
    power = np.mean([np.abs(np.fft.fft2((tile - tile.mean()) * window)) ** 2 for tile in tiles], axis=0) / SIDE**2
    frequency = np.fft.fftfreq(SIDE)
    place = np.floor(np.hypot(frequency[:, None], frequency[None, :]) * 48)
    return np.array([power[(place >= low) & (place < high)].mean() for low, high in RINGS])


def test_power_is_that_of_the_whole_spectrum_less_the_noise() -> None:
    shown = frame(bayer(cells(), np.random.default_rng(4)))
    red, green_1, green_2, blue = (plane.astype(float) for plane in colour_planes(shown))
    found = measure_bands(shown, BASELINE)
    for row, plane, share in ((0, red, 1.0), (1, (green_1 + green_2) / 2, 0.5), (2, blue, 1.0)):
        noise = share * (BASELINE.gain * plane[:, :SIDE].mean() + 1 / 12)
        clear = float(np.percentile(plane[::8, ::8], 95))
        assert found.power[row] == pytest.approx((by_definition(plane) - noise) / clear**2, rel=1e-4, abs=1e-9)
    assert found.power.shape == found.doubt.shape == (3, BANDS)


def test_planes_that_are_made_already_say_the_same() -> None:
    shown = frame(bayer(cells(seed=3), np.random.default_rng(5)))
    again = bands_of(colour_planes(shown), BASELINE)
    assert np.array_equal(measure_bands(shown, BASELINE).power, again.power)
