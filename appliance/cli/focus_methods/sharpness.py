"""Sharpness as others measure it, on the green of the mosaic.

Their cameras are monochrome or give colour; green pixels alone are what comes nearest without inventing values between
them. Half the size in each direction still samples the optics of both objectives well.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float32]


def green(pixels: NDArray[np.uint8]) -> Grey:
    """Mean of the two greens of each cell of an RGGB mosaic, float32 (height/2, width/2), grey levels."""
    first, second = np.ascontiguousarray(pixels[0::2, 1::2]), np.ascontiguousarray(pixels[1::2, 0::2])
    return np.asarray(cv2.addWeighted(first, 0.5, second, 0.5, 0.0, dtype=cv2.CV_32F), np.float32)


def centre(picture: Grey, side: int) -> Grey:
    """The middle square of a picture, at most `side` pixels wide."""
    rows, cols = picture.shape
    top, left = max(rows - side, 0) // 2, max(cols - side, 0) // 2
    return picture[top : top + side, left : left + side]


def tenengrad(picture: Grey) -> float:
    """Mean squared Sobel gradient over the squared mean level. Source: Tenenbaum, Stanford thesis, 1970."""
    across, down = (cv2.Sobel(picture, cv2.CV_32F, x, y) for x, y in ((1, 0), (0, 1)))
    energy = float((across**2).mean() + (down**2).mean())
    return energy / max(float(picture.mean()) ** 2, 1.0)


def laplacian(picture: Grey) -> float:
    """Mean squared Laplacian."""
    return float((cv2.Laplacian(picture, cv2.CV_32F) ** 2).mean())


def parabola_top(z_um: list[float], value: list[float]) -> float:
    """Height of the top of the parabola through the highest of evenly spaced samples and its neighbours.

    The highest sample itself where it lies at an end.
    """
    best = int(np.argmax(value))
    if not 0 < best < len(value) - 1:
        return z_um[best]
    below, at, above = value[best - 1 : best + 2]
    bend = below - 2 * at + above
    beside = 0.5 * (below - above) / bend if bend < 0 else 0.0
    return z_um[best] + beside * (z_um[best + 1] - z_um[best])
