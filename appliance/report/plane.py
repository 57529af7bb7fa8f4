"""The plane through the heights at which fields were in focus."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.records import FieldRecord, Outcome

CONFIDENT = 0.5
_FEWEST_POINTS = 4
_HUBER_K, _HUBER_ROUNDS, _SMALLEST_SCALE_UM = 1.345, 8, 0.05


@dataclass(frozen=True)
class Plane:
    """z = z_um + slope_x (x - x_um) + slope_y (y - y_um).

    Slopes are dimensionless; residuals_um (n,) holds what every point lies above the plane.
    """

    x_um: float
    y_um: float
    z_um: float
    slope_x: float
    slope_y: float
    residuals_um: NDArray[np.float64]

    @property
    def tilt_mrad(self) -> float:
        """Steepest slope."""
        return 1000.0 * math.hypot(self.slope_x, self.slope_y)

    @property
    def rms_um(self) -> float:
        """Root mean square height over the plane."""
        return float(np.sqrt(np.mean(self.residuals_um**2)))


def focused(record: FieldRecord) -> bool:
    """Whether a field found its own focus, rather than taking a predicted height."""
    return record.outcome is Outcome.USABLE and record.focus.confidence >= CONFIDENT


def depth_of_field_um(na: float, um_per_px: float) -> float:
    """Depth of field in air, µm, for green light: λ/NA² + e/(M·NA), where e/M is the pixel's size on the slide.

    Source: Nikon MicroscopyU, "Depth of Field and Depth of Focus".
    """
    return 0.55 / na**2 + um_per_px / na


def fit_plane(x_um: NDArray[np.float64], y_um: NDArray[np.float64], z_um: NDArray[np.float64]) -> Plane | None:
    """Robust plane through (n,) points in µm; None below four points.

    Points on one line leave the slope across it undetermined; it is then given as zero.
    Source: Huber's M-estimate by reweighted least squares (P. J. Huber, Robust Statistics, 1981).
    """
    if x_um.size < _FEWEST_POINTS:
        return None
    x0, y0 = float(x_um.mean()), float(y_um.mean())
    design = np.column_stack([np.ones_like(x_um), (x_um - x0) / 1000.0, (y_um - y0) / 1000.0])
    weight: NDArray[np.float64] = np.ones_like(x_um)
    solution: NDArray[np.float64] = np.zeros(3)
    residual: NDArray[np.float64] = z_um
    for _ in range(_HUBER_ROUNDS):
        root = np.sqrt(weight)
        solution = np.asarray(np.linalg.lstsq(design * root[:, None], z_um * root, rcond=1e-6)[0], dtype=np.float64)
        residual = np.asarray(z_um - design @ solution, dtype=np.float64)
        scale = max(1.4826 * float(np.median(np.abs(residual))), _SMALLEST_SCALE_UM)
        weight = np.minimum(1.0, _HUBER_K * scale / np.maximum(np.abs(residual), 1e-9))
    return Plane(x0, y0, float(solution[0]), float(solution[1]) / 1e3, float(solution[2]) / 1e3, residual)
