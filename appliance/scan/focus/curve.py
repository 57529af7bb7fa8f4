"""From the frames of one field to a focus curve over its stained blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from appliance.scan.focus.baseline import Baseline
from appliance.scan.focus.content import BoolGrid, Content, look
from appliance.scan.focus.estimate import Sample
from appliance.scan.focus.measure import Measurement, Planes, colour_planes, measure_planes
from drivers.camera.frame import Frame

_FEWEST_BLOCKS = 2
_BESIDE_INK, _AMONG_INK = 0.01, 0.05
"""Share of the field that structure must cover where the field shows ink, and where most of the slide lies under it;
less may be what frays from ink."""
_TO_INK = 0.25
"""The same as a share of the ink."""
_FLOOR_ERROR = 0.03
"""Relative error of the noise floor. Measured on the twin: gain within 1 to 3 %."""
_SPARSE = 0.05
"""Share of structured blocks below which only those near structure are asked: noise of all others would drown them."""
_NEAR_BLOCKS = 2
_SPECKS = 10
"""Blocks; a cell of an effusion at 450x covers two to four, a ball of cells some dozens."""
_FAINT = 6.0
"""Standard deviations of noise below which a block's peak is not trusted as its weight."""


@dataclass(frozen=True)
class Shot:
    """One exposure of a field, and what it shows. z_um: height as commanded. planes: the frame's."""

    z_um: float
    frame: Frame
    planes: Planes
    measurement: Measurement
    content: Content


def shoot(frame: Frame, z_um: float, baseline: Baseline, um_per_px: float) -> Shot:
    """Measure a frame and look at it."""
    planes = colour_planes(frame)
    measurement = measure_planes(planes)
    return Shot(z_um, frame, planes, measurement, look(measurement, baseline, um_per_px))


def readable_blocks(shots: Sequence[Shot]) -> BoolGrid:
    """Blocks without ink, dust or bubbles at any height."""
    return np.asarray(~np.logical_or.reduce([shot.content.foreign for shot in shots]))


def _telling_blocks(shots: Sequence[Shot]) -> BoolGrid:
    """The readable blocks that tell focus: all of them, but in a nearly empty field those near structure."""
    structured = np.logical_or.reduce([shot.content.structured for shot in shots])
    blocks = readable_blocks(shots)
    if not structured.any() or structured.mean() > _SPARSE:
        return blocks
    side = 2 * _NEAR_BLOCKS + 1
    return np.asarray(blocks & (cv2.dilate(structured.astype(np.uint8), np.ones((side, side), np.uint8)) > 0))


def is_empty(shots: Sequence[Shot], *, inked: bool = False) -> bool:
    """Whether no frame shows enough stained structure to be focused on. inked: most of the slide lies under ink."""
    structured = np.logical_or.reduce([shot.content.structured for shot in shots])
    hidden = max(shot.content.hidden for shot in shots)
    share = max(_AMONG_INK if inked else _BESIDE_INK if hidden > 0 else 0.0, _TO_INK * hidden)
    return bool((structured & readable_blocks(shots)).sum() < max(_FEWEST_BLOCKS, share * structured.size))


def are_specks(shots: Sequence[Shot]) -> bool:
    """Whether all that any frame shows is smaller than a few cells."""
    structured = np.logical_or.reduce([shot.content.structured for shot in shots])
    return bool((structured & readable_blocks(shots)).sum() <= _SPECKS)


def is_faint(shots: Sequence[Shot], baseline: Baseline) -> bool:
    """Whether no frame holds more energy than the noise floor itself is uncertain by."""
    blocks = _telling_blocks(shots)
    return all(
        float(baseline.excess(shot.measurement)[blocks].sum())
        <= _FLOOR_ERROR * float(baseline.floor(shot.measurement)[blocks].sum())
        for shot in shots
    )


def sharpness_curve(shots: Sequence[Shot], baseline: Baseline, evenness: float = 0.0) -> list[Sample]:
    """One sample per shot: specimen energy over the blocks that are readable at every height and tell focus.

    evenness: power of its own peak by which each block is divided. 0 adds up all energy; 1 gives each block one vote,
    so that a few black nuclei or one tall cluster do not outvote the rest. Ink and dust are not asked either way.
    """
    blocks = _telling_blocks(shots)
    excess = np.stack([baseline.excess(shot.measurement)[blocks] for shot in shots])
    scatter = np.stack([baseline.scatter(shot.measurement)[blocks] for shot in shots])
    weight = np.maximum(excess.max(axis=0), _FAINT * scatter.max(axis=0)) ** -evenness
    values = excess @ weight
    return [
        Sample(shot.z_um, float(value), math.sqrt(float(((noise * weight) ** 2).sum())))
        for shot, value, noise in zip(shots, values, scatter, strict=True)
    ]
