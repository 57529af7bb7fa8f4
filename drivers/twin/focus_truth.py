"""Where a field is sharpest: the truth that focusing is measured against. Only tests and benches see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from drivers.twin.focus_guess import likely_heights
from drivers.twin.imaging import Pose, Prepared, absorbed, prepare
from drivers.twin.layers import GREEN
from drivers.twin.sensor import level_at, noise_law
from drivers.twin.settings import CameraModel
from drivers.twin.slide.scene import Scene, Shown, Slide

_SOBEL_NOISE_GAIN = 24.0
_STEPS_PER_DOF = 3
_FARTHEST = 6
_EDGE_OD = 0.01
"""Difference of optical density between neighbouring pixels from which dirt has an edge to focus on."""

BLANK_BELOW = 0.1
"""A field is blank when the sharpest picture of its specimen adds less than this to the gradient that noise alone has
at nominal exposure, as a share of it; one well stained cell in a field of 450x adds about 0.5."""


@dataclass(frozen=True)
class FocusTruth:
    """defocus_um: height of the focal plane over the surface at the scene's centre at which green is sharpest.

    energy: mean squared Sobel gradient there, of the absorbed share of light on the half lattices of green pixels
    within the frame; 0 for a scene without content.
    """

    defocus_um: float
    energy: float

    def over_noise(self, level: float, variance: float) -> float:
        """The signal's share of the gradient measure, relative to that of noise.

        level: grey levels of a clear place; variance: of the noise, in grey levels squared.
        """
        return self.energy * level**2 / (_SOBEL_NOISE_GAIN * variance)


def shows_nothing(truth: FocusTruth, camera: CameraModel) -> bool:
    """Whether a frame of this truth is blank; see BLANK_BELOW."""
    level = level_at(camera, camera.nominal_exposure_ms, 0.0)
    slope, floor = noise_law(camera, 0.0)
    return truth.over_noise(level, slope * level + floor) < BLANK_BELOW


def focus_truth(
    prepared: Prepared, width_px: int, height_px: int, clear: NDArray[np.float32] | None = None
) -> FocusTruth:
    """The sharpest height of a frame in the middle of a scene, from pictures without noise, and its gradient.

    The maximum is bracketed around each likely height in steps of a third of a depth of field; a parabola through the
    three highest samples places it between them. clear: weight of each place, (height_px/2, width_px/2).
    """
    step = prepared.optics.depth_of_field_um / _STEPS_PER_DOF
    seen: dict[int, float] = {}

    def energy(index: int) -> float:
        if index not in seen:
            pose = Pose.still(*prepared.centre_um, index * step)
            seen[index] = _gradient(absorbed(prepared, pose, width_px, height_px, colours=(GREEN,)), clear)
        return seen[index]

    guesses = [round(height / step) for height in likely_heights(prepared)]
    if not guesses:
        return FocusTruth(0.0, 0.0)
    best = max((_climbed(energy, guess) for guess in guesses), key=energy)
    below, at, above = energy(best - 1), energy(best), energy(best + 1)
    bend = below - 2 * at + above
    beside = 0.5 * (below - above) / bend if bend < 0 else 0.0
    return FocusTruth((best + beside) * step, at - 0.25 * (below - above) * beside)


def specimen_truth(
    slide: Slide, prepared: Prepared, width_px: int, height_px: int, layer_pitch_um: float
) -> FocusTruth:
    """The same for the specimen alone: dust, bubbles and ink are neither read nor worth focusing on.

    prepared: all that lies there, used as it is where nothing of it is dirt with an edge; else the specimen is drawn
    anew without, and counts where light still reaches it.
    """
    corner = (prepared.x0_um, prepared.y0_um, prepared.width_px, prepared.height_px, prepared.um_per_px)
    dirt = slide.scene(*corner, layer_pitch_um=layer_pitch_um, shown=Shown.DIRT)
    if not any(_has_edge(layer.od[:, :, GREEN]) for layer in dirt.layers):
        return focus_truth(prepared, width_px, height_px)
    alone = slide.scene(*corner, layer_pitch_um=layer_pitch_um, shown=Shown.SPECIMEN)
    clean = prepare(alone, prepared.optics, colours=(GREEN,))
    return focus_truth(clean, width_px, height_px, _seen_through(dirt, width_px, height_px))


def _climbed(energy: Callable[[int], float], start: int) -> int:
    """The local maximum uphill from a step, within two depths of field: further off, all is about equally blurred."""
    best = start
    while energy(better := max((best - 1, best + 1), key=energy)) > energy(best) and abs(better - start) <= _FARTHEST:
        best = better
    return best


def _gradient(greens: NDArray[np.float32], clear: NDArray[np.float32] | None) -> float:
    """Mean squared Sobel gradient of the green sites, (2, height_px/2, width_px/2)."""
    total = np.zeros(greens.shape[1:], np.float32)
    for plane in greens:
        cv2.accumulateSquare(cv2.Sobel(plane, cv2.CV_32F, 1, 0), total)
        cv2.accumulateSquare(cv2.Sobel(plane, cv2.CV_32F, 0, 1), total)
    if clear is not None:
        total *= clear
    return float(total.mean()) / len(greens)


def _has_edge(od: NDArray[np.float32]) -> bool:
    """Whether an optical density (rows, cols) has steps; shadows from the far side of the glass have none."""
    return any(bool(np.any(np.abs(np.diff(od, axis=axis)) > _EDGE_OD)) for axis in (0, 1))


def _seen_through(dirt: Scene, width_px: int, height_px: int) -> NDArray[np.float32]:
    """By how much dirt lowers squared gradients under it: its transmission squared, on the half lattice."""
    top, left = (dirt.height_px - height_px) // 2, (dirt.width_px - width_px) // 2
    od = dirt.total_od()[top : top + height_px : 2, left : left + width_px : 2, GREEN]
    return np.asarray(10.0 ** (-2.0 * od), dtype=np.float32)
