"""How large the stained patch is on which a finding lies: a ball of cells is one dark patch, however blurred."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from appliance.records import Finding

_STEP_PX = 4
_CLEAR = 90.0
"""Percentile of a channel that stands for the clear background, as for the field's quality."""
_STAINED_OD = 0.2
"""In the darkest channel; the carpet's cells have gaps between them at this density, a ball has none. Own estimate."""
_REACH_UM = 12.0
"""Half the side of a finding's box: the patch may lie beside its middle."""


def patch_sizes_um(rgb: NDArray[np.uint8], findings: Sequence[Finding], um_per_px: float) -> list[float]:
    """For each finding, the diameter of the largest disc that lies wholly on stain, its middle near the finding's.

    rgb: uint8 (H, W, 3), the field's picture. What lies beyond the picture's rim counts as clear.
    """
    height, width = rgb.shape[:2]
    small = cv2.resize(rgb, (width // _STEP_PX, height // _STEP_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    clear = np.percentile(small.reshape(-1, 3), _CLEAR, axis=0)
    stained = (np.log10((clear + 1.0) / (small + 1.0)).max(axis=2) >= _STAINED_OD).astype(np.uint8)
    framed = cv2.copyMakeBorder(stained, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    radius = cv2.distanceTransform(framed, cv2.DIST_L2, 5)[1:-1, 1:-1]
    step_um = _STEP_PX * um_per_px
    reach = round(_REACH_UM / step_um)
    sizes = []
    for finding in findings:
        row, col = int(finding.y_px) // _STEP_PX, int(finding.x_px) // _STEP_PX
        near = radius[max(row - reach, 0) : row + reach + 1, max(col - reach, 0) : col + reach + 1]
        sizes.append(2.0 * step_um * float(near.max(initial=0.0)))
    return sizes
