"""From a scene to what reaches the sensor, at any defocus.

The model. Light is absorbed by layers at their depths. The total transmission 10^-(sum OD_k) is split into absorbances
in proportion to OD_k, a_k = (1 - 10^-(sum OD)) OD_k / sum OD, and each is blurred by the incoherent transfer function
of its own defocus:

    I = I0 (1 - sum_k h(z - z_k - dz_colour) * a_k)

This is exact in focus and for objects that do not overlap, and it is linear, so one inverse transform per colour plane
is enough; products of blurred overlapping layers, phase and partial coherence are left out. Field curvature moves
absorbance between layers, by the radius of its place in the field. Red and blue are carried on the half lattice that
their pixels form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from drivers.camera.colour import demosaic
from drivers.twin.layers import GREEN, Block, Painter, split
from drivers.twin.memory import keep_memory
from drivers.twin.optics import Optics, depth_of_field_um
from drivers.twin.sensor import Sensor
from drivers.twin.settings import CameraModel, OpticsSettings
from drivers.twin.slide.scene import Scene, SceneObject, Slide
from drivers.twin.spectra import Picture, add_filtered, fast_size, forward, inverse

Planes = NDArray[np.float32]

_BLUE = 2
_ALL = (0, GREEN, _BLUE)
MARGIN_PX = 32
"""Pixels that a scene should reach beyond the frame on each side, for stage errors and for blur."""


class StoreTooSmall(ValueError):
    """The spectra of a scene do not fit into the memory given for them."""


@dataclass(frozen=True)
class Window:
    """The scene that a frame needs: its first pixel and its size, a margin around the frame included."""

    x0_um: float
    y0_um: float
    width_px: int
    height_px: int

    @classmethod
    def around(
        cls, x_um: float, y_um: float, size_px: tuple[int, int], um_per_px: float, *, margin_px: int = MARGIN_PX
    ) -> Window:
        """For a frame of `size_px` (width, height) centred at a stage position; sizes that are quick to transform."""
        wide, high = fast_size(size_px[0] + 2 * margin_px, size_px[1] + 2 * margin_px)
        return cls(x_um - (wide - 1) / 2 * um_per_px, y_um - (high - 1) / 2 * um_per_px, wide, high)


@dataclass(frozen=True)
class Pose:
    """Where the camera looked during one exposure; each is one or more samples along the motion.

    x_um, y_um: stage position under the frame's centre. defocus_um: height of the focal plane over the surface at the
    scene's centre.
    """

    x_um: NDArray[np.float64]
    y_um: NDArray[np.float64]
    defocus_um: NDArray[np.float64]

    @classmethod
    def still(cls, x_um: float, y_um: float, defocus_um: float) -> Pose:
        """A camera at rest."""
        return cls(np.array([x_um]), np.array([y_um]), np.array([defocus_um]))


@dataclass(frozen=True)
class Prepared:
    """A scene as spectra. `store` holds them all, so that a scene can live in memory that processes share.

    x0_um, y0_um, width_px, height_px, um_per_px: as of the scene. objects: as of the scene.
    """

    optics: Optics
    x0_um: float
    y0_um: float
    width_px: int
    height_px: int
    um_per_px: float
    blocks: tuple[Block, ...]
    objects: tuple[SceneObject, ...]
    store: NDArray[np.complex64]

    @property
    def centre_um(self) -> tuple[float, float]:
        """Stage position of the scene's centre."""
        half_x, half_y = (self.width_px - 1) / 2, (self.height_px - 1) / 2
        return self.x0_um + half_x * self.um_per_px, self.y0_um + half_y * self.um_per_px

    def covers(self, x_um: float, y_um: float, width_px: int, height_px: int) -> bool:
        """Whether a frame centred at the position lies inside, one pixel of rim included."""
        x, y = self.centre_um
        spare_x = (self.width_px - width_px) / 2 - 2
        spare_y = (self.height_px - height_px) / 2 - 2
        return abs(x_um - x) <= spare_x * self.um_per_px and abs(y_um - y) <= spare_y * self.um_per_px


def prepare(
    scene: Scene, optics: Optics, store: NDArray[np.complex64] | None = None, *, colours: Sequence[int] = _ALL
) -> Prepared:
    """Transform a scene once, for any number of exposures.

    store: complex64 memory to put the spectra into; its own is allocated when None. colours: others stay undefined.
    Raises StoreTooSmall, and ValueError when the scene's rows or columns are not a multiple of 4.
    """
    keep_memory()
    parts = split(scene, optics)
    needed = sum(part.block.size for part in parts)
    if store is None:
        store = np.empty(needed, np.complex64)
    elif len(store) < needed:
        raise StoreTooSmall(f"a scene of {needed} spectrum values does not fit into a store of {len(store)}")
    painter = Painter(scene, optics)
    offset = 0
    blocks = []
    for part in parts:
        block = replace(part.block, offset=offset)
        for colour in colours:
            for level, picture in enumerate(painter.paint(part, colour)):
                forward(picture, block.lattice(colour), out=block.spectrum(store, level, colour))
        blocks.append(block)
        offset += block.size
    return Prepared(
        optics=optics,
        x0_um=scene.x0_um,
        y0_um=scene.y0_um,
        width_px=scene.width_px,
        height_px=scene.height_px,
        um_per_px=scene.um_per_px,
        blocks=tuple(blocks),
        objects=tuple(scene.objects),
        store=store[:needed],
    )


def absorbed(prepared: Prepared, pose: Pose, width_px: int, height_px: int, *, colours: Sequence[int] = _ALL) -> Planes:
    """Share of light absorbed at every pixel of a Bayer frame, float32 (4, height/2, width/2): R, G, G, B sites.

    The two greens are those of the red rows, then of the blue rows; with fewer `colours` (0 red, 1 green, 2 blue), only
    their sites. Raises ValueError when the frame reaches beyond the prepared scene.
    """
    centre_x, centre_y = float(np.mean(pose.x_um)), float(np.mean(pose.y_um))
    if not prepared.covers(centre_x, centre_y, width_px, height_px):
        raise ValueError(f"the frame at ({centre_x:.1f}, {centre_y:.1f}) µm reaches beyond the prepared scene")
    scale = prepared.um_per_px
    cols = (pose.x_um - prepared.x0_um) / scale - (width_px - 1) / 2
    rows = (pose.y_um - prepared.y0_um) / scale - (height_px - 1) / 2
    row0, col0 = int(np.mean(rows)) // 2 * 2, int(np.mean(cols)) // 2 * 2
    planes = np.zeros((len(colours) + (GREEN in colours), height_px // 2, width_px // 2), np.float32)
    for block in prepared.blocks:
        sites = [
            site
            for colour in colours
            for site in _block_sites(prepared, block, colour, pose.defocus_um, (rows - row0, cols - col0))
        ]
        _add_at(planes, sites, (block.row0 - row0) // 2, (block.col0 - col0) // 2)
    return planes


def _block_sites(
    prepared: Prepared,
    block: Block,
    colour: int,
    defocus_um: NDArray[np.float64],
    shift: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> list[Picture]:
    """What a block absorbs at the sites of one colour, each (rows/2, cols/2): two of green, one of the others.

    shift: of the frame, in rows and columns.
    """
    lattice, table = block.lattice(colour), prepared.optics.otf(colour)
    total = np.zeros(lattice.spectrum_shape, np.complex64)
    for level, height_um in enumerate(block.heights_um):
        away_um = defocus_um - height_um - prepared.optics.shift_um[colour]
        add_filtered(total, block.spectrum(prepared.store, level, colour), lattice, table, away_um)
    rows, cols = shift
    if colour == GREEN:
        green = inverse(total, lattice, rows, cols)
        return [green[0::2, 1::2], green[1::2, 0::2]]
    site = 1.0 if colour == _BLUE else 0.0
    return [inverse(total, lattice, (rows + site) / 2.0, (cols + site) / 2.0)]


def _add_at(planes: Planes, sites: list[Picture], row: int, col: int) -> None:
    """Add pictures to planes, their first pixel at (row, col), cut off at the planes' rim."""
    _, rows, cols = planes.shape
    high, wide = sites[0].shape
    top, left = max(row, 0), max(col, 0)
    bottom, right = min(row + high, rows), min(col + wide, cols)
    if top < bottom and left < right:
        for plane, site in zip(planes, sites, strict=True):
            plane[top:bottom, left:right] += site[top - row : bottom - row, left - col : right - col]


def expose(prepared: Prepared, defocus_um: float, sensor: Sensor, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One frame of the middle of a scene at rest, at nominal exposure: uint8 Bayer RGGB of the sensor's size."""
    model = sensor.model
    planes = absorbed(prepared, Pose.still(*prepared.centre_um, defocus_um), model.width_px, model.height_px)
    return sensor.read(planes, model.nominal_exposure_ms, 0.0, sensor.lamp(0.0, rng), rng)


def render_rgb(
    slide: Slide,
    x_um: float,
    y_um: float,
    *,
    width_px: int,
    height_px: int,
    um_per_px: float,
    na: float,
    defocus_um: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], list[SceneObject]]:
    """A picture of any place on a slide as the scanner would have it, without a stage or a camera process.

    width_px, height_px: even. Returns uint8 RGB (height_px, width_px, 3) and the objects centred inside. A crop lies
    somewhere in the field, so that it is dimmed by a random part of the vignetting and is not curved.
    """
    optics = replace(Optics.of(OpticsSettings(na=na, um_per_px=um_per_px)), curvature_um=0.0)
    window = Window.around(x_um, y_um, (width_px, height_px), um_per_px)
    pitch_um = depth_of_field_um(na, um_per_px) / 3
    scene = slide.scene(
        window.x0_um, window.y0_um, window.width_px, window.height_px, um_per_px, layer_pitch_um=pitch_um
    )
    planes = absorbed(prepare(scene, optics), Pose.still(x_um, y_um, defocus_um), width_px, height_px)
    default = CameraModel()
    model = CameraModel(width_px=width_px, height_px=height_px, vignetting=0.0, hot_pixels=0, sensor_dust=0)
    sensor = Sensor(model, 0, slide.illumination)
    lamp = sensor.lamp(0.0, rng) * (1 - default.vignetting * float(rng.uniform()))
    bayer = sensor.read(planes, model.nominal_exposure_ms, 0.0, lamp, rng)
    half_x, half_y = width_px / 2 * um_per_px, height_px / 2 * um_per_px
    inside = [o for o in scene.objects if abs(o.x_um - x_um) <= half_x and abs(o.y_um - y_um) <= half_y]
    return demosaic(bayer), inside
