"""Changes that must not change the answer: another stain, lamp, codec or focus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.training.twin_tiles import Tile

Picture = NDArray[np.uint8]
Change = Callable[[Picture], Picture]


@dataclass(frozen=True)
class Named:
    """A change and what it is called."""

    name: str
    apply: Change


def stained(factor: float) -> Change:
    """Optical density over the clear background times `factor`."""

    def apply(picture: Picture) -> Picture:
        density = -np.log(np.maximum(picture.astype(np.float32), 1.0) / 255.0)
        clear = np.percentile(density[::8, ::8].reshape(-1, 3), 5, axis=0).astype(np.float32)
        return _grey(np.exp(-(clear + (density - clear) * np.float32(factor))) * 255.0)

    return apply


def tinted(degrees: float) -> Change:
    """Hue of the stain turned in optical-density space about the grey axis."""
    angle = np.radians(degrees)
    axis = np.ones(3) / np.sqrt(3.0)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    turn = (np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross).astype(np.float32)

    def apply(picture: Picture) -> Picture:
        density = -np.log(np.maximum(picture.astype(np.float32), 1.0) / 255.0)
        clear = np.percentile(density[::8, ::8].reshape(-1, 3), 5, axis=0).astype(np.float32)
        return _grey(np.exp(-(clear + (density - clear) @ turn.T)) * 255.0)

    return apply


def lit(gains: tuple[float, float, float]) -> Change:
    """Each colour of the lamp brighter or dimmer."""
    return lambda picture: _grey(picture.astype(np.float32) * np.array(gains, np.float32))


def compressed(quality: int) -> Change:
    """Through JPEG and back."""

    def apply(picture: Picture) -> Picture:
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)

    return apply


def _grey(values: NDArray[np.float32]) -> Picture:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


CHANGES = (
    Named("as rendered", lambda picture: picture),
    Named("stain 30 % paler", stained(0.7)),
    Named("stain 40 % darker", stained(1.4)),
    Named("hue 5 degrees one way", tinted(5.0)),
    Named("hue 5 degrees the other way", tinted(-5.0)),
    Named("lamp 20 % dimmer", lit((0.8, 0.8, 0.8))),
    Named("lamp 10 % warmer", lit((1.05, 1.0, 0.9))),
    Named("JPEG quality 70", compressed(70)),
)


def changed(tiles: Iterable[Tile], change: Change) -> Iterator[Tile]:
    """The tiles with another picture and the same truth."""
    return (replace(tile, picture=change(tile.picture)) for tile in tiles)
