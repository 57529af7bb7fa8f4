"""Pictures as people hand them over: files that may be anything."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


def read_picture(path: Path) -> NDArray[np.uint8] | None:
    """uint8 RGB (H, W, 3); None when the file cannot be read or is not a picture."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error):
        return None
    return None if picture is None else np.ascontiguousarray(picture[:, :, ::-1])
