"""What moves the specimen although no axis was told to: geometry, heat, vibration. Deterministic by seed."""

from __future__ import annotations

import math

import numpy as np

from drivers.twin.mechanics_settings import MechanicsSettings

_FLATNESS_SPAN_UM = 75_000.0


class Geometry:
    """Errors that depend on the place only."""

    def __init__(self, settings: MechanicsSettings) -> None:
        rng = np.random.default_rng([settings.seed, 11])
        self._s = settings
        self._phase = rng.uniform(0, 2 * math.pi, 4)
        modes = [(kx, ky) for kx in range(3) for ky in range(2) if kx + ky > 0]
        self._modes = [
            (kx, ky, float(rng.normal()) / (kx + ky), float(rng.uniform(0, 2 * math.pi))) for kx, ky in modes
        ]
        grid = np.linspace(0, _FLATNESS_SPAN_UM, 61)
        heights = [self._smooth(float(x), float(y)) for x in grid for y in grid[:25]]
        self._middle = (max(heights) + min(heights)) / 2
        self._gain = settings.flatness_um / (max(heights) - min(heights))

    def _smooth(self, x_um: float, y_um: float) -> float:
        k = math.pi / _FLATNESS_SPAN_UM
        return sum(w * math.cos(k * (kx * x_um + 2 * ky * y_um) + phase) for kx, ky, w, phase in self._modes)

    def true_xy(self, x_um: float, y_um: float) -> tuple[float, float]:
        """Where the axes really are, from where their screws stand: scale, squareness, periodic screw error."""
        s, turn = self._s, 2 * math.pi / self._s.screw_pitch_um
        ripple = s.pitch_error_um / 2
        x = x_um * (1 + s.xy_scale_error) + ripple * math.sin(turn * x_um + self._phase[0])
        y = y_um * (1 + s.xy_scale_error) + ripple * math.sin(turn * y_um + self._phase[1])
        return x, y + 1e-3 * s.orthogonality_mrad * x_um

    def crosstalk_um(self, x_um: float, y_um: float) -> float:
        """Height that the stage plate adds at a place: smooth over its travel, and a ripple at the screw pitch."""
        turn, ripple = 2 * math.pi / self._s.screw_pitch_um, self._s.flatness_pitch_um / 4
        waves = math.sin(turn * x_um + self._phase[2]) + math.sin(turn * y_um + self._phase[3])
        return (self._smooth(x_um, y_um) - self._middle) * self._gain + ripple * waves


class Thermal:
    """Slow change of focus since the twin was switched on."""

    _STEP_S = 1.0

    def __init__(self, settings: MechanicsSettings) -> None:
        self._s = settings
        self._rng = np.random.default_rng([settings.seed, 12])
        self._phase = float(self._rng.uniform(0, 2 * math.pi))
        self._walk = [0.0]

    def _walk_um(self, t: float) -> float:
        index, share = divmod(max(0.0, t) / self._STEP_S, 1.0)
        sigma = self._s.random_walk_um_per_sqrt_min * math.sqrt(self._STEP_S / 60)
        while len(self._walk) < index + 2:
            self._walk.append(self._walk[-1] + sigma * float(self._rng.normal()))
        low, high = self._walk[int(index)], self._walk[int(index) + 1]
        return low + share * (high - low)

    def z_um(self, t: float) -> float:
        """Drift in µm, `t` seconds after switching on; 0 at t = 0."""
        s = self._s
        warm = s.warmup_um * (1 - math.exp(-max(0.0, t) / (60 * s.warmup_tau_min)))
        swing = s.thermal_um_per_k * s.room_swing_k
        omega = 2 * math.pi / (60 * s.room_period_min)
        room = swing * (math.sin(omega * max(0.0, t) + self._phase) - math.sin(self._phase))
        return warm + room + self._walk_um(t)


class Vibration:
    """Building vibration: a sum of sines between 20 and 60 Hz on each axis."""

    _TONES = 7

    def __init__(self, settings: MechanicsSettings) -> None:
        rng = np.random.default_rng([settings.seed, 13])
        self._omega = 2 * math.pi * rng.uniform(20, 60, (3, self._TONES))
        self._phase = rng.uniform(0, 2 * math.pi, (3, self._TONES))
        self._amplitude = settings.vibration_um * math.sqrt(2 / self._TONES)

    def at(self, t: float) -> tuple[float, float, float]:
        """Displacement in µm of x, y, z."""
        waves = np.sin(self._omega * t + self._phase).sum(axis=1) * self._amplitude
        return float(waves[0]), float(waves[1]), float(waves[2])
