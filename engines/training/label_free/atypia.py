"""Pseudo-atypia: real cells of negative slides, changed in place as malignancy changes nuclei.

What changes is what a cytologist looks at: a larger nucleus in the same cell, an uneven membrane, coarse chromatin,
prominent nucleoli. Sizes are drawn well above what the slide shows, strengths are drawn for each cell, and a larger
nucleus is also paler by a random part of what the spread of the same DNA would give, so that neither darkness nor
colour tells. Sham changes (`sham`) pass through the same warp and noise and stay of normal size: that a place was
touched tells nothing either. Idea of local changes as anomalies: Li et al., CutPaste, 2021.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_PAD = 4
_WHOLE = 1.15  # the mask of a nucleus ends within its soft border; this much more belongs to it


@dataclass(frozen=True)
class Traits:
    """Which changes are made and how strongly; the ablation turns each off.

    nucleus_um: diameters that enlarged nuclei are given. dilution: largest exponent of the paling with size.
    membrane: largest standard deviation of each of the outline's harmonics. chromatin: largest strength of clumping.
    nucleoli: share of cells that get them.
    """

    nucleus_um: tuple[float, float] = (12.0, 20.0)
    dilution: float = 1.2
    membrane: float = 0.06
    chromatin: float = 0.45
    nucleoli: float = 0.6


@dataclass(frozen=True)
class Change:
    """One nucleus to change: where it is, its radius and the radius it gets, in pixels, and how it is redrawn."""

    x: float
    y: float
    radius: float
    wanted: float
    dilution: float
    membrane: float
    chromatin: float
    grain_px: float
    nucleoli: int


def draw_atypia(
    x: float, y: float, radius: float, traits: Traits, um_per_px: float, rng: np.random.Generator
) -> Change:
    """A change that makes the nucleus at (x, y) atypical."""
    wanted = float(rng.uniform(*traits.nucleus_um)) / 2.0 / um_per_px
    return Change(
        x,
        y,
        radius,
        max(wanted, 1.15 * radius),
        float(rng.uniform(0.0, traits.dilution)),
        float(rng.uniform(0.2, 1.0)) * traits.membrane,
        float(rng.uniform(0.1, 1.0)) * traits.chromatin,
        float(rng.uniform(0.7, 1.8)) / um_per_px / 2.0,
        int(rng.integers(1, 4)) if rng.random() < traits.nucleoli else 0,
    )


def draw_sham(x: float, y: float, radius: float, um_per_px: float, rng: np.random.Generator) -> Change:
    """A change that leaves the nucleus at (x, y) within what negative slides show: 6 to 10 µm, fine chromatin."""
    wanted = float(rng.uniform(6.0, 10.0)) / 2.0 / um_per_px
    wanted = float(np.clip(wanted, 0.75 * radius, 1.5 * radius))
    return Change(x, y, radius, wanted, float(rng.uniform(0, 1.2)), 0.012, 0.12, 0.6 / um_per_px / 2.0, 0)


def apply_change(picture: NDArray[np.uint8], change: Change, rng: np.random.Generator) -> bool:
    """Redraw one nucleus of uint8 RGB `picture` (H, W, 3) in place; False, and no change, when too near the border."""
    reach = change.wanted * float(rng.uniform(1.35, 1.8)) + 3.0
    half = int(np.ceil(reach)) + _PAD
    left, top = round(change.x) - half, round(change.y) - half
    side = 2 * half + 1
    if left < 0 or top < 0 or left + side > picture.shape[1] or top + side > picture.shape[0]:
        return False
    area = picture[top : top + side, left : left + side]
    dy, dx = np.mgrid[0:side, 0:side].astype(np.float32)
    dx, dy = dx - (change.x - left), dy - (change.y - top)
    distance = np.hypot(dx, dy)
    outline = change.wanted * _wobble(np.arctan2(dy, dx), change.membrane, rng)
    taken = min(_WHOLE * change.radius, reach - 2.5)
    source = _pull(distance, outline, np.float32(taken), np.float32(reach))
    ratio = source / np.maximum(distance, 1e-3)
    at_x, at_y = dx * ratio + (change.x - left), dy * ratio + (change.y - top)
    warped = cv2.remap(area, at_x, at_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101).astype(np.float32)
    inside = np.clip((outline - distance) / 1.5 + 0.5, 0.0, 1.0).astype(np.float32)
    light = np.percentile(picture[::8, ::8].reshape(-1, 3), 95, axis=0).astype(np.float32)
    od = -np.log(np.clip(warped, 1.0, None) / np.maximum(light, 16.0))
    gain = (change.radius / change.wanted) ** change.dilution * _chromatin(change, inside, rng)
    od *= (1.0 + inside * (gain - 1.0))[..., None]
    if change.nucleoli:
        od += _nucleoli(change, dx, dy, inside, rng)[..., None] * _mean_dye(od, inside)
    redrawn = np.exp(-od) * light + rng.normal(0.0, 0.8, od.shape)
    blend = np.clip((reach - distance) / 2.0, 0.0, 1.0)[..., None]
    area[:] = np.clip(np.rint(blend * redrawn + (1 - blend) * area), 0, 255).astype(np.uint8)
    return True


def _wobble(angle: NDArray[np.float32], spread: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Relative radius of the outline by direction: harmonics 2 to 7 of falling strength."""
    radius = np.ones_like(angle)
    for k in range(2, 8):
        size = np.float32(rng.normal(0.0, spread) * (2.0 / k) ** 0.5)
        radius += size * np.cos(k * angle + np.float32(rng.uniform(0, 2 * np.pi)))
    return np.asarray(np.clip(radius, 0.7, 1.35), np.float32)


def _pull(
    distance: NDArray[np.float32], outline: NDArray[np.float32], radius: np.float32, reach: np.float32
) -> NDArray[np.float32]:
    """From which distance each pixel is taken: the old nucleus fills the outline, its surroundings the ring beyond."""
    edge = np.minimum(outline, reach - 2.0)
    inner = distance * (radius / edge)
    outer = radius + (distance - edge) * ((reach - radius) / (reach - edge))
    return np.asarray(np.where(distance <= edge, inner, np.where(distance < reach, outer, distance)), np.float32)


def _chromatin(change: Change, inside: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Relative density of clumped chromatin, of mean 1 within the nucleus."""
    noise = np.zeros(inside.shape, np.float32)
    for octave, share in ((1.0, 1.0), (2.0, 0.6)):
        part = rng.standard_normal(inside.shape, dtype=np.float32)
        part = cv2.GaussianBlur(part, (0, 0), change.grain_px * octave)
        noise += np.float32(share / max(float(part.std()), 1e-6)) * part
    clumps = np.exp(np.clip(noise * np.float32(change.chromatin), -1.4, 1.1))
    mean = float((clumps * inside).sum()) / max(float(inside.sum()), 1.0)
    return np.asarray(clumps / np.float32(max(mean, 1e-3)), np.float32)


def _nucleoli(
    change: Change,
    dx: NDArray[np.float32],
    dy: NDArray[np.float32],
    inside: NDArray[np.float32],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Spots of extra density in the inner half of the nucleus."""
    spots = np.zeros(inside.shape, np.float32)
    for _ in range(change.nucleoli):
        away = 0.55 * change.wanted * float(np.sqrt(rng.uniform()))
        angle = float(rng.uniform(0, 2 * np.pi))
        radius = change.wanted * float(rng.uniform(0.09, 0.2))
        gap = np.hypot(dx - away * np.cos(angle), (dy - away * np.sin(angle)) * rng.uniform(0.8, 1.25))
        spots = np.maximum(spots, np.clip((radius - gap) / 1.2 + 0.5, 0.0, 1.0))
    return np.asarray(spots * inside * np.float32(rng.uniform(0.3, 0.9)), np.float32)


def _mean_dye(od: NDArray[np.float32], inside: NDArray[np.float32]) -> NDArray[np.float32]:
    weight = inside[..., None]
    return np.asarray((od * weight).sum(axis=(0, 1)) / max(float(inside.sum()), 1.0), np.float32)
