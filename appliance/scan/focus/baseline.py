"""What a frame would look like with nothing on the slide: lamp, shading, dust, hot pixels and photon noise.

Without its noise floor a focus curve stands on a pedestal, and every estimate from few samples is drawn to the middle
of the bracket; without its shading and dust an empty field looks as if something were there. Source: domain reference
3.3. The baseline is learned from the frames of the survey, which show several places at several heights: what stays
the same in all of them is the camera's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.scan.focus.measure import FloatGrid, Measurement

_SQUARES = 4.0
"""Two differences, each with the noise of two pixels."""
_QUANTISED = 1.0 / 12.0
_SPREAD = 0.075
"""Relative standard deviation of one block's energy on noise alone (measured on simulated noise: 0.070)."""
_DARK, _CLIPPED = 50.0, 250.0
_LIT = 0.5
_USUAL_GAIN = 0.01
"""Of an eight-bit camera with a full well of 25,000 electrons; where frames are too dark to tell."""
_BRIGHT = 0.95
_PLACES = 3
"""Fewer places cannot tell the camera's dust from the slide's content."""


@dataclass(frozen=True)
class Baseline:
    """gain: variance of the noise per grey level (photon law), in grey levels.

    clear: R, G, B of a clear place, grey levels. shade: optical density that the camera itself shows (vignetting,
    dust), per colour cell, float32 (rows, cols, 3). fixed: gradient energy that it shows, over level squared, per
    block. Both are None until frames of enough places have been seen.
    """

    gain: float
    clear: tuple[float, float, float]
    shade: FloatGrid | None = None
    fixed: FloatGrid | None = None

    def floor(self, measurement: Measurement) -> FloatGrid:
        """Energy per block that the frame would have with nothing on the slide."""
        level = measurement.level
        noise = _SQUARES * (self.gain * level + _QUANTISED)
        if self.fixed is not None and self.fixed.shape == level.shape:
            noise = noise + self.fixed * level**2
        return np.asarray(noise, dtype=np.float32)

    def excess(self, measurement: Measurement) -> FloatGrid:
        """Energy of the specimen per block; scatters around zero where there is none."""
        return np.asarray(measurement.energy - self.floor(measurement), dtype=np.float32)

    def scatter(self, measurement: Measurement) -> FloatGrid:
        """Standard deviation of `excess` per block where there is no specimen."""
        return np.asarray(_SPREAD * self.floor(measurement), dtype=np.float32)

    def density(self, measurement: Measurement) -> FloatGrid:
        """Optical density of the slide per colour cell, float32 (rows, cols, 3); about zero where it is clear."""
        plain = _density(measurement, self.clear)
        if self.shade is not None and self.shade.shape == plain.shape:
            plain = plain - self.shade
        return np.asarray(plain, dtype=np.float32)


def learn_baseline(places: Sequence[Sequence[Measurement]]) -> Baseline:
    """The baseline from frames of several places, each at one or more heights. At least one frame.

    The noise gain comes from the quietest blocks, which are out of focus or empty; the clear level from the brightest
    frame. Raises ValueError without any frame.
    """
    frames = [frame for place in places for frame in place]
    if not frames:
        raise ValueError("a baseline needs at least one frame")
    gain = min(_gain(frame) for frame in frames)
    red, green, blue = np.max([_clear(frame) for frame in frames], axis=0)
    clear = (float(red), float(green), float(blue))
    plain = Baseline(gain, clear)
    if sum(bool(place) for place in places) < _PLACES:
        return plain
    shade = _lasting(
        [_density(frame, clear) for frame in frames], [_lit(frame.cells[..., 1], green) for frame in frames]
    )
    relative = [plain.excess(frame) / np.maximum(frame.level, _DARK) ** 2 for frame in frames]
    allowed = [4.0 * plain.scatter(frame) / np.maximum(frame.level, _DARK) ** 2 for frame in frames]
    lasting = _lasting(relative, [_lit(frame.level, green) for frame in frames])
    fixed = np.where(lasting > np.median(allowed, axis=0), lasting, 0.0)
    return Baseline(gain, clear, np.asarray(shade, np.float32), np.asarray(fixed, np.float32))


def _lit(level: FloatGrid, clear: float) -> NDArray[np.bool_]:
    """Where there is light enough to see the camera's own shading: not under ink."""
    return np.asarray(level > _LIT * clear)


def _lasting(frames: Sequence[FloatGrid], lit: Sequence[NDArray[np.bool_]]) -> FloatGrid:
    """The smallest value over all frames that are lit there; 0 where none is."""
    masks = [mask if value.ndim == mask.ndim else mask[..., None] for value, mask in zip(frames, lit, strict=True)]
    least = np.min([np.where(mask, value, np.inf) for value, mask in zip(frames, masks, strict=True)], axis=0)
    return np.asarray(np.where(np.isfinite(least), least, 0.0), dtype=np.float32)


def _gain(frame: Measurement) -> float:
    """Variance per grey level of the quietest blocks of a frame, by clipping from the bottom."""
    level = frame.level
    usable = (level > _DARK) & (level < _CLIPPED)
    if not usable.any():
        return _USUAL_GAIN
    ratio = np.maximum(frame.energy[usable] / _SQUARES - _QUANTISED, 0.0) / level[usable]
    quiet = float(np.quantile(ratio, 0.1)) / (1 - 1.28 * _SPREAD)
    for _ in range(4):
        quiet = float(ratio[ratio <= quiet * (1 + 3 * _SPREAD)].mean())
    return quiet


def _clear(frame: Measurement) -> NDArray[np.float64]:
    return np.asarray(np.quantile(frame.cells.reshape(-1, 3), _BRIGHT, axis=0), dtype=np.float64)


def _density(frame: Measurement, clear: tuple[float, float, float]) -> FloatGrid:
    """Optical density over the clear level, per cell."""
    relative = np.maximum(frame.cells, 0.5) / np.asarray(clear, np.float32)
    return np.asarray(-np.log10(relative), dtype=np.float32)
