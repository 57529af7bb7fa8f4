"""The transfer functions against independent mathematics, and the depth of field against its published values."""

import numpy as np
import pytest

from drivers.twin.optics import Optics, depth_of_field_um, otf_table
from drivers.twin.settings import OpticsSettings


def _by_fft(na: float, wavelength_um: float, defocus_um: float) -> tuple[np.ndarray, np.ndarray]:
    """(frequencies, OTF) along one axis from the squared modulus of the transformed pupil on a fine grid."""
    n, step = 1024, na / wavelength_um / 180
    k = (np.arange(n) - n // 2) * step
    square = k[:, None] ** 2 + k[None, :] ** 2
    height = np.sqrt(np.maximum(1 / wavelength_um**2 - square, 0))
    pupil = (square <= (na / wavelength_um) ** 2) * np.exp(2j * np.pi * defocus_um * height)
    spread = np.abs(np.fft.ifft2(np.fft.ifftshift(pupil))) ** 2
    transfer = np.fft.fft2(spread).real
    return np.arange(400) * step, transfer[0, :400] / transfer[0, 0]


def test_in_focus_the_transfer_function_is_the_analytic_one() -> None:
    table = otf_table(0.5, 0.53)
    share = np.linspace(0, 1, len(table.values[0]))
    analytic = 2 / np.pi * (np.arccos(share) - share * np.sqrt(1 - share**2))
    assert np.abs(table.values[0] - analytic).max() < 1e-5
    assert table.step_per_um * (len(share) - 1) == pytest.approx(2 * 0.5 / 0.53)


@pytest.mark.parametrize(
    ("na", "defocus_um"), [(0.4, 2.0), (0.5, 1.05), (0.5, -4.0), (0.5, 9.0), (0.75, 1.0), (0.75, 3.33)]
)
def test_out_of_focus_it_agrees_with_a_transform_of_the_pupil(na: float, defocus_um: float) -> None:
    table = otf_table(na, 0.53)
    frequency, reference = _by_fft(na, 0.53, defocus_um)
    profile, _ = table.profile(defocus_um)
    ours = np.interp(frequency, np.arange(len(profile)) * table.step_per_um, profile, right=0.0)
    assert np.abs(ours - reference).max() < 6e-3


def test_what_is_cut_off_beyond_the_band_is_faint() -> None:
    table = otf_table(0.5, 0.53)
    for defocus_um in (0.0, 2.2, 7.7, 33.0):
        profile, band = table.profile(defocus_um)
        assert np.abs(profile[band:]).max(initial=0.0) <= 0.02
        assert profile[0] == pytest.approx(1.0, abs=1e-5)


def test_exposure_while_moving_in_z_averages_the_transfer_functions() -> None:
    table = otf_table(0.5, 0.53)
    mean, _ = table.mean_profile(np.array([-1.0, 2.0]))
    assert np.allclose(mean, (table.profile(1.0)[0] + table.profile(2.0)[0]) / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("na", "um_per_px", "expected_um"),
    [(0.40, 0.293, 4.17), (0.45, 0.293, 3.37), (0.50, 0.293, 2.79), (0.75, 0.293, 1.37), (0.75, 0.1465, 1.17)],
)
def test_depth_of_field_is_the_published_one(na: float, um_per_px: float, expected_um: float) -> None:
    assert depth_of_field_um(na, um_per_px) == pytest.approx(expected_um, abs=0.006)


def test_magnification_sets_what_the_settings_leave_open() -> None:
    low, high = Optics.of(OpticsSettings()), Optics.of(OpticsSettings(magnification=900))
    assert (low.na, low.um_per_px) == (0.50, 0.293)
    assert (high.na, high.um_per_px) == (0.75, 0.1465)
    assert low.shift_um == pytest.approx((0.5, 0.0, -0.7))
    assert Optics.of(OpticsSettings(na=0.4)).na == 0.4
