"""Calibration pictures: what they must be, what identifies them, and how big ones are cut."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

MINIMUM = 8
_REMEDY = "Give real fields of the assay, some of them blank and out of focus."
_BLOCK = 4
_STRUCTURE = 0.15
"""White noise keeps 1/16 of its variance in means of 4 x 4 pixels; what a lens has drawn keeps most of it."""
_DIM = 1.0


@dataclass(frozen=True)
class Calibration:
    """What the scales were measured on: number of pictures, and a digest over their pixels in order."""

    images: int
    sha256: str


def identify(pictures: Sequence[NDArray[np.uint8]]) -> Calibration:
    """Number and digest of `pictures`, uint8 (H, W, 3) each."""
    digest = hashlib.sha256()
    for picture in pictures:
        _add(digest, picture)
    return Calibration(len(pictures), digest.hexdigest())


def require_pictures(pictures: Sequence[NDArray[np.uint8]], minimum: int = MINIMUM) -> None:
    """Raise EngineError unless `minimum` different pictures show something.

    Refused: too few; all of one colour; the same picture again and again; noise. That a picture was taken of the right
    assay cannot be seen here: whoever gives it answers for that, and the package keeps the digest.
    """
    if len(pictures) < minimum:
        raise EngineError(
            f"{len(pictures)} calibration pictures were given; at least {minimum} are needed.", remedy=_REMEDY
        )
    flat = True
    different: dict[str, bool] = {}
    for picture in pictures:
        flat &= int(np.ptp(picture)) == 0
        different[digest_of(picture)] = shows_something(picture)
    if flat:
        raise EngineError("The calibration pictures are all of one colour.", remedy=_REMEDY)
    if len(different) < minimum:
        raise EngineError(
            f"Of {len(pictures)} calibration pictures only {len(different)} differ; at least {minimum} must.",
            remedy=_REMEDY,
        )
    showing = sum(different.values())
    if showing < minimum:
        raise EngineError(
            f"Of {len(different)} different calibration pictures only {showing} show something; at least {minimum} "
            "must: the others are blank, or noise in which neighbouring pixels have nothing to do with each other.",
            remedy=_REMEDY,
        )


def shows_something(picture: NDArray[np.uint8]) -> bool:
    """Whether uint8 `picture` (H, W, 3) varies, and does so over more than single pixels."""
    grey = picture.astype(np.float32).mean(axis=2)
    height, width = (side // _BLOCK * _BLOCK for side in grey.shape)
    if min(height, width) < 2 * _BLOCK or float(grey.std()) < _DIM:
        return False
    whole = grey[:height, :width]
    blocks = whole.reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).mean(axis=(1, 3))
    return bool(blocks.var() >= _STRUCTURE * whole.var())


def windows(picture: NDArray[np.uint8], height: int, width: int, *, exact: bool) -> Iterator[NDArray[np.uint8]]:
    """The whole of `picture` (H, W, 3) in pieces of at most height x width, the last ones moved inwards to fit.

    exact: a smaller picture is continued by its border pixels up to the full size, for networks of one input size.
    """
    if exact:
        down, right = max(0, height - picture.shape[0]), max(0, width - picture.shape[1])
        picture = np.asarray(cv2.copyMakeBorder(picture, 0, down, 0, right, cv2.BORDER_REPLICATE), np.uint8)
    for top in _starts(picture.shape[0], height):
        for left in _starts(picture.shape[1], width):
            yield picture[top : top + height, left : left + width]


def _starts(length: int, side: int) -> list[int]:
    return sorted({min(start, max(0, length - side)) for start in range(0, length, side)})


def digest_of(picture: NDArray[np.uint8]) -> str:
    """SHA-256 over shape and pixels."""
    digest = hashlib.sha256()
    _add(digest, picture)
    return digest.hexdigest()


def _add(digest: hashlib._Hash, picture: NDArray[np.uint8]) -> None:
    digest.update(repr(picture.shape).encode())
    digest.update(np.ascontiguousarray(picture).tobytes())
