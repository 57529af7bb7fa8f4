"""Real pictures laid out as one slide: each used once, on a common background, with soft joins."""

from __future__ import annotations

import logging
import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from drivers.errors import DeviceError
from drivers.twin.slide.scene import SceneObject, SpecimenArea
from drivers.twin.slide.view import LayerStack, View

_SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"}
_KEPT_PICTURES = 32
_ASPECT = 1.5  # of the mosaic, width over height
_DARKEST = 1.0  # grey value that stands for "no light at all"
_BRIGHTEST_OD = -0.15  # places brighter than the background (refraction) keep their sparkle, within reason

_log = logging.getLogger(__name__)


class NoPictures(DeviceError):
    """The folder of pictures is missing, or holds none that can be read."""


@dataclass(frozen=True)
class _Tile:
    """One picture in the mosaic: its file, its corner in stage µm and its size in µm."""

    path: Path
    x_um: float
    y_um: float
    width_um: float
    height_um: float


def background(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The picture without its content: float32 (h, w, 3), a quadratic surface through the bright background.

    Fitted with weights that favour the upper side, so that stained objects pull it down only a little.
    """
    rows, cols = picture.shape[:2]
    small = cv2.resize(picture, (48, max(2, round(48 * rows / cols))), interpolation=cv2.INTER_AREA)
    small = np.asarray(small, dtype=np.float64)
    basis = _quadratic(small.shape[0], small.shape[1])
    values = small.reshape(-1, 3)
    coefficients = np.zeros((basis.shape[1], 3))
    for channel in range(3):
        target = values[:, channel]
        weight = np.ones(len(target))
        for _ in range(12):
            scaled = basis * weight[:, None]
            coefficients[:, channel] = np.linalg.lstsq(scaled, target * weight, rcond=None)[0]
            residual = target - basis @ coefficients[:, channel]
            spread = max(1.0, 1.4826 * float(np.median(np.abs(residual))))
            low = np.clip(-residual / spread, 0.0, None)
            weight = 1.0 / (1.0 + low**2)
    surface = (basis @ coefficients).reshape(small.shape).astype(np.float32)
    full = cv2.resize(surface, (cols, rows), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(full, 8.0, 255.0), dtype=np.float32)


def _quadratic(rows: int, cols: int) -> NDArray[np.float64]:
    y, x = np.mgrid[-1.0 : 1.0 : rows * 1j, -1.0 : 1.0 : cols * 1j]
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(-1, 6)


def optical_density(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Optical density over the picture's own background, float32 (h, w, 3)."""
    ratio = np.maximum(picture.astype(np.float32), _DARKEST) / background(picture)
    return np.asarray(np.maximum(-np.log10(ratio), np.float32(_BRIGHTEST_OD)), dtype=np.float32)


def _read(path: Path) -> NDArray[np.uint8] | None:
    """An RGB picture, or None where the file cannot be decoded."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError:
        return None
    found = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if found is None or min(found.shape[:2]) < 8:
        return None
    return np.ascontiguousarray(found[:, :, ::-1], dtype=np.uint8)


class PicturesPart:
    """A mosaic of the pictures of a folder, centred on the specimen's place; blank around it.

    skipped: files that could not be read. tint: common background, R, G, B relative to the brightest channel.
    Raises NoPictures when nothing is left.
    """

    def __init__(
        self, folder: Path, um_per_px: float, feather_um: float, centre_um: tuple[float, float], seed: int
    ) -> None:
        if not folder.is_dir():
            raise NoPictures(f"There is no folder {folder}.", remedy="Give the folder that holds the pictures.")
        files = sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES and p.is_file())
        np.random.default_rng(np.random.SeedSequence([seed, 0xE3])).shuffle(files)
        sizes: list[tuple[Path, int, int]] = []
        tints: list[NDArray[np.float64]] = []
        self.skipped: list[Path] = []
        for path in files:
            picture = _read(path)
            if picture is None:
                self.skipped.append(path)
                continue
            sizes.append((path, picture.shape[1], picture.shape[0]))
            tints.append(np.quantile(picture[::8, ::8].reshape(-1, 3).astype(np.float64), 0.7, axis=0))
        if self.skipped:
            names = ", ".join(sorted(path.name for path in self.skipped))
            _log.warning("%d of %d pictures cannot be read and are left out: %s", len(self.skipped), len(files), names)
        if not sizes:
            raise NoPictures(
                f"No picture in {folder} can be read ({len(files)} files looked at).",
                remedy=f"Put pictures there ({', '.join(sorted(_SUFFIXES))}), or give another folder.",
            )
        tint = np.median(np.stack(tints), axis=0)
        red, green, blue = (tint / max(1.0, tint.max())).clip(0.05, 1.0).tolist()
        self.tint: tuple[float, float, float] = (red, green, blue)
        self._um_per_px = um_per_px
        self._feather_um = feather_um
        self._tiles, self.area = _layout(sizes, um_per_px, feather_um, centre_um)
        self._kept: OrderedDict[tuple[Path, float], NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    def draw(self, view: View, stack: LayerStack) -> list[SceneObject]:
        """Lay the pictures that lie in the view on the surface; what they show is not known."""
        for tile in self._tiles:
            cols = np.flatnonzero((view.x_um >= tile.x_um) & (view.x_um <= tile.x_um + tile.width_um))
            rows = np.flatnonzero((view.y_um >= tile.y_um) & (view.y_um <= tile.y_um + tile.height_um))
            if cols.size and rows.size:
                self._lay(tile, slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1), view, stack)
        return []

    def _lay(self, tile: _Tile, rows: slice, cols: slice, view: View, stack: LayerStack) -> None:
        od = self._density(tile.path, view.um_per_px)
        x, y = view.x_um[cols], view.y_um[rows]
        first_row = math.floor((y[0] - tile.y_um) / view.um_per_px)
        first_col = math.floor((x[0] - tile.x_um) / view.um_per_px)
        part = od[first_row : first_row + len(y), first_col : first_col + len(x)]
        x, y = x[: part.shape[1]], y[: part.shape[0]]
        if not (len(x) and len(y)):
            return
        weight = np.outer(self._ramp(y - tile.y_um, tile.height_um), self._ramp(x - tile.x_um, tile.width_um))
        relief = view.surface.on_grid(x, y) - np.float32(view.centre_height_um)
        stack.sheet(part * weight[:, :, None].astype(np.float32), rows.start, cols.start, relief)

    def _ramp(self, along_um: NDArray[np.float64], size_um: float) -> NDArray[np.float64]:
        """1 inside, falling to 0 over the feather at both ends; neighbours overlap by it and add up to 1."""
        if self._feather_um <= 0.0:
            return np.ones_like(along_um)
        return np.clip(np.minimum(along_um, size_um - along_um) / self._feather_um, 0.0, 1.0)

    def _density(self, path: Path, um_per_px: float) -> NDArray[np.float32]:
        key = (path, round(um_per_px, 6))
        with self._lock:
            found = self._kept.pop(key, None)
            if found is None:
                found = self._prepare(path, um_per_px)
            self._kept[key] = found
            while len(self._kept) > _KEPT_PICTURES:
                self._kept.popitem(last=False)
        return found

    def _prepare(self, path: Path, um_per_px: float) -> NDArray[np.float32]:
        picture = _read(path)
        if picture is None:
            raise NoPictures(f"{path} can no longer be read.", remedy="Put the picture back and start again.")
        scale = self._um_per_px / um_per_px
        size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
        method = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(optical_density(picture), size, interpolation=method), dtype=np.float32)


def _layout(
    sizes: list[tuple[Path, int, int]], um_per_px: float, feather_um: float, centre_um: tuple[float, float]
) -> tuple[list[_Tile], SpecimenArea]:
    """Rows of pictures about `_ASPECT` times as wide as high in all, overlapping by the feather, centred."""
    area_um2 = sum(width * height for _, width, height in sizes) * um_per_px**2
    row_um = max(math.sqrt(area_um2 * _ASPECT), max(width for _, width, _ in sizes) * um_per_px)
    tiles: list[_Tile] = []
    x = y = row_height = widest = 0.0
    for path, width_px, height_px in sizes:
        width, height = width_px * um_per_px, height_px * um_per_px
        if x > 0.0 and x + width / 2.0 > row_um:
            y, x, row_height = y + row_height - feather_um, 0.0, 0.0
        tiles.append(_Tile(path, x, y, width, height))
        widest, row_height = max(widest, x + width), max(row_height, height)
        x += width - feather_um
    area = SpecimenArea(centre_um[0] - widest / 2.0, centre_um[1] - (y + row_height) / 2.0, widest, y + row_height)
    placed = [
        _Tile(tile.path, tile.x_um + area.x_um, tile.y_um + area.y_um, tile.width_um, tile.height_um) for tile in tiles
    ]
    return placed, area
