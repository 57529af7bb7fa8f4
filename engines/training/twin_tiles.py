"""Tiles of twin slides with their truth, for training and for measuring."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from drivers.twin.imaging import MARGIN_PX, Pose, absorbed, prepare
from drivers.twin.optics import Optics, depth_of_field_um
from drivers.twin.sensor import Sensor
from drivers.twin.settings import CameraModel, OpticsSettings
from drivers.twin.slide import SceneObject, Slide
from engines.training.targets import Sample, add_bump

FIELD_PX = (1928, 1208)
BACKGROUND = -1
UNCERTAIN = -2
NOT_TARGET = -3


@dataclass(frozen=True)
class Microscope:
    """Scale and aperture that tiles are rendered for."""

    um_per_px: float
    na: float

    @property
    def depth_um(self) -> float:
        """Depth of field in air; see `drivers.twin.optics`."""
        return depth_of_field_um(self.na, self.um_per_px)


@dataclass(frozen=True)
class Tile:
    """One rendered picture and what it shows.

    picture: uint8 RGB (H, W, 3). labels: int64 (N,), index of the label, or one of two where nobody could say what they
    see: UNCERTAIN on what is a target, NOT_TARGET on what is none, and must not be called one.
    places: float64 (N, 4), centre x, y and width, height in pixels. off_focus_um: float64 (N,), distance of each
    object's middle from the focal plane.
    """

    picture: NDArray[np.uint8]
    labels: NDArray[np.int64]
    places: NDArray[np.float64]
    off_focus_um: NDArray[np.float64]


LabelOf = Callable[[SceneObject, float], int]
"""(object, distance of its middle from the focal plane in µm) → label index, BACKGROUND, UNCERTAIN or NOT_TARGET."""


@dataclass(frozen=True)
class TileMaker:
    """Renders tiles of (width, height) `side_px` for one microscope, one way of naming objects."""

    microscope: Microscope
    label_of: LabelOf
    side_px: tuple[int, int]

    def render(self, slide: Slide, centre_um: tuple[float, float], defocus_um: float, rng: np.random.Generator) -> Tile:
        """The tile centred at stage position `centre_um`, focal plane `defocus_um` above the surface there."""
        width, height = self.side_px
        scale = self.microscope.um_per_px
        picture, objects = self._expose(slide, centre_um, defocus_um, rng)
        left = centre_um[0] - (width - 1) / 2 * scale
        top = centre_um[1] - (height - 1) / 2 * scale
        labels: list[int] = []
        places: list[tuple[float, float, float, float]] = []
        distances: list[float] = []
        for item in objects:
            sag_um = self._sag_um(item.x_um - centre_um[0], item.y_um - centre_um[1])
            distance_um = abs(item.z_um + sag_um - defocus_um)
            label = self.label_of(item, distance_um)
            x, y = (item.x_um - left) / scale, (item.y_um - top) / scale
            if label != BACKGROUND and 0 <= x < width and 0 <= y < height:
                labels.append(label)
                places.append((x, y, item.width_um / scale, item.height_um / scale))
                distances.append(distance_um)
        boxes = np.array(places, np.float64).reshape(-1, 4)
        return Tile(picture, np.array(labels, np.int64), boxes, np.array(distances, np.float64))

    @property
    def _curvature_um(self) -> float:
        """Field curvature at a tile's corner, as in the middle of a whole field: it grows with the square."""
        share = (self.side_px[0] ** 2 + self.side_px[1] ** 2) / (FIELD_PX[0] ** 2 + FIELD_PX[1] ** 2)
        return OpticsSettings().curvature_um * share

    def _sag_um(self, x_um: float, y_um: float) -> float:
        """Field curvature at a place given from the tile's centre."""
        half_diagonal = np.hypot(*self.side_px) / 2 * self.microscope.um_per_px
        return float(self._curvature_um * (x_um**2 + y_um**2) / half_diagonal**2)

    def _expose(
        self, slide: Slide, centre_um: tuple[float, float], defocus_um: float, rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], Sequence[SceneObject]]:
        """One exposure, demosaicked as the camera driver does it, under a lamp that is not always equally bright."""
        (width, height), scale = self.side_px, self.microscope.um_per_px
        wide, high = (-(-(side + 2 * MARGIN_PX) // 4) * 4 for side in self.side_px)
        settings = OpticsSettings(na=self.microscope.na, um_per_px=scale, curvature_um=self._curvature_um)
        optics = Optics.of(settings)
        scene = slide.scene(
            centre_um[0] - (wide - 1) / 2 * scale,
            centre_um[1] - (high - 1) / 2 * scale,
            wide,
            high,
            scale,
            layer_pitch_um=self.microscope.depth_um / 3,
        )
        planes = absorbed(prepare(scene, optics), Pose.still(*centre_um, defocus_um), width, height)
        model = CameraModel(width_px=width, height_px=height, hot_pixels=2, sensor_dust=1)
        sensor = Sensor(model, int(rng.integers(1 << 31)), slide.illumination)
        lamp = float(rng.uniform(0.85, 1.15))
        bayer = sensor.read(planes, model.nominal_exposure_ms, 0.0, lamp, rng)
        return np.asarray(cv2.cvtColor(bayer, cv2.COLOR_BayerBG2RGB), np.uint8), scene.objects

    def random_place(self, slide: Slide, rng: np.random.Generator) -> tuple[float, float]:
        """A place within the specimen's box, a tile away from its border."""
        area = slide.specimen
        half = np.array(self.side_px) * self.microscope.um_per_px / 2
        low = np.array([area.x_um, area.y_um]) + half
        high = np.array([area.x_um + area.width_um, area.y_um + area.height_um]) - half
        x, y = rng.uniform(low, high)
        return float(x), float(y)


def to_sample(
    tile: Tile, targets: Sequence[bool], stride: int, sigma_px: Callable[[float], float], overlap: float = 0.4
) -> Sample:
    """What the network should answer on a tile.

    targets: whether each label is one. sigma_px: width of a bump from an object's size in pixels. A channel's answer is
    left open, but for its objects' centres, around what nobody could name but what may be of its label, and between
    objects nearer to each other than `overlap` of their size of which one may be.
    """
    height, width = tile.picture.shape[:2]
    shape = (len(targets), -(-height // stride), -(-width // stride))
    target, mask = np.zeros(shape, np.float32), np.ones(shape, np.float32)
    rows = np.arange(shape[1])[:, None] * stride
    cols = np.arange(shape[2])[None, :] * stride
    possible = np.stack([may_be(tile.labels, channel, is_target) for channel, is_target in enumerate(targets)])
    for index, (x, y, w, h) in enumerate(tile.places):
        unsure, size = tile.labels[index] < 0, max(w, h)
        reach = max(0.4 * size, 1.5 * stride) if unsure else max(overlap * size, stride)
        near = np.hypot(tile.places[:, 0] - x, tile.places[:, 1] - y) < reach
        if unsure or int(near.sum()) > 1:
            open_ = (possible & near).any(axis=1)
            mask[open_[:, None, None] & (np.hypot(rows - y, cols - x) < reach)] = 0.0
    for label, (x, y, w, h) in zip(tile.labels, tile.places, strict=True):
        if label >= 0:
            add_bump(target[label], x, y, stride, sigma_px(max(w, h)))
            _know(mask[label], x, y, stride)
    return Sample(tile.picture, target, mask)


def may_be(labels: NDArray[np.int64], channel: int, is_target: bool) -> NDArray[np.bool_]:
    """Which of some labels (N,) a detection of `channel` may rightly lie on, (N,)."""
    unsure = labels == UNCERTAIN
    return (labels == channel) | unsure | ((labels == NOT_TARGET) & (not is_target))


def _know(mask: NDArray[np.float32], x_px: float, y_px: float, stride: int) -> None:
    """The cells at an object's centre count, whatever lies over them."""
    row, col = round(y_px / stride), round(x_px / stride)
    if 0 <= row < mask.shape[0] and 0 <= col < mask.shape[1]:
        mask[row, col] = 1.0
