"""Frames of two visits to one field, laid over each other. Pure.

The stage comes back micrometres beside, so other things lie at the rim. Compared as they are, such frames differ in
sharpness by some per cent for that alone, and are taken to lie at another height.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from appliance.scan.focus.baseline import Baseline
from appliance.scan.focus.content import BoolGrid, look
from appliance.scan.focus.curve import Shot
from appliance.scan.focus.measure import BLOCK_CELLS, CELL_PX, measure_planes
from appliance.scan.settle.shift import cells, displacement_px

_SAMPLE_PX = 2
"""From one sample of a colour plane to the next, in pixels of the frame; the rest of a displacement stays."""
_BLOCK = BLOCK_CELLS * CELL_PX // _SAMPLE_PX
_FARTHEST_PX = 64
"""No stage comes back that far beside: frames that say so have too little in common to tell where they lie."""


def laid_over(first: Shot, again: Shot, baseline: Baseline, um_per_px: float) -> Shot:
    """What `again` would have shown had the stage come back to the very place of `first`; what it does not is foreign.

    The frame itself stays as it was taken.
    """
    right_px, down_px = displacement_px(cells(first.planes[1]), cells(again.planes[1]))
    right, down = round(right_px / _SAMPLE_PX), round(down_px / _SAMPLE_PX)
    if right == down == 0 or max(abs(right), abs(down)) * _SAMPLE_PX > _FARTHEST_PX:
        return again
    planes = [_moved(plane, -right, -down) for plane in again.planes]
    measurement = measure_planes(planes)
    content = look(measurement, baseline, um_per_px)
    unseen = _unseen(content.foreign.shape, -right, -down)
    structured, foreign = content.structured & ~unseen, content.foreign | unseen
    content = replace(content, structured=structured, foreign=foreign)
    return replace(again, planes=planes, measurement=measurement, content=content)


def _moved(plane: NDArray[np.uint8], right: int, down: int) -> NDArray[np.uint8]:
    """A plane by whole samples; its rim is repeated where nothing is known."""
    way = np.array([[1.0, 0.0, right], [0.0, 1.0, down]])
    moved = cv2.warpAffine(plane, way, plane.shape[::-1], flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, dtype=np.uint8)


def _unseen(shape: tuple[int, ...], right: int, down: int) -> BoolGrid:
    """Blocks that hold some of a rim that came in by such a move, or a difference of samples across its edge."""
    unseen = np.zeros(shape, np.bool_)
    for axis, by in ((0, down), (1, right)):
        rows = np.moveaxis(unseen, axis, 0)
        if by > 0:
            rows[: by // _BLOCK + 1] = True
        elif by < 0:
            rows[-(-by // _BLOCK + 1) :] = True
    return unseen
