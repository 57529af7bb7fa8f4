"""Cut the picture of a finding out of its field."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from appliance.errors import ApplianceError
from appliance.records import Finding

MARGIN = 2.0
SMALLEST_UM = 20.0
JPEG_QUALITY = 90


def crop_window(
    finding: Finding, frame_width_px: int, frame_height_px: int, um_per_px: float
) -> tuple[int, int, int, int]:
    """Window (x0, y0, x1, y1) in frame pixels around a finding: twice its box, at least 20 µm, inside the frame."""
    side = max(MARGIN * finding.width_px, MARGIN * finding.height_px, SMALLEST_UM / um_per_px)
    side_x, side_y = min(round(side), frame_width_px), min(round(side), frame_height_px)
    x0 = min(max(round(finding.x_px - side_x / 2), 0), frame_width_px - side_x)
    y0 = min(max(round(finding.y_px - side_y / 2), 0), frame_height_px - side_y)
    return x0, y0, x0 + side_x, y0 + side_y


def crop_jpeg(rgb: NDArray[np.uint8], finding: Finding, um_per_px: float) -> bytes:
    """JPEG of the finding's window. rgb: uint8 (H, W, 3)."""
    x0, y0, x1, y1 = crop_window(finding, rgb.shape[1], rgb.shape[0], um_per_px)
    return encode_jpeg(rgb[y0:y1, x0:x1])


def encode_jpeg(rgb: NDArray[np.uint8]) -> bytes:
    """JPEG bytes (quality 90) of a uint8 RGB picture (H, W, 3)."""
    ok, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not ok:
        raise ApplianceError(f"A picture of {rgb.shape} could not be encoded.", remedy="Report this with the log.")
    return bytes(data.tobytes())
