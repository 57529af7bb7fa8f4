"""Step sizes of activations, measured on calibration pictures in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper

from engines.calibration import windows
from engines.errors import EngineError
from engines.float_network import first_line, open_float
from engines.ort_errors import ORT_ERRORS

LEVELS = 127
_BINS = 2048
_BUDGET_BYTES = 256_000_000
_GRAIN = 64
_LARGEST = 512


def measure_scales(
    model: onnx.ModelProto, group_of: Mapping[str, str], pictures: Sequence[NDArray[np.uint8]]
) -> dict[str, float]:
    """Step size of each tensor in `group_of`: the clip that loses least in the mean square over the pictures.

    group_of: tensor → its group; tensors of one group get one step. Whole numbers that fit are kept as they are
    (step 1).
    """
    values = _watch(model, sorted(group_of), pictures)
    groups = set(group_of.values())
    highest = dict.fromkeys(groups, 0.0)
    integral = dict.fromkeys(groups, True)
    for name, value in values():
        group = group_of[name]
        highest[group] = max(highest[group], float(np.abs(value).max(initial=0.0)))
        integral[group] = integral[group] and bool((value == np.rint(value)).all())
    _require_finite(highest)
    counts = {group: np.zeros(_BINS, np.int64) for group in groups}
    for name, value in values():
        group = group_of[name]
        counts[group] += np.histogram(np.abs(value), bins=_BINS, range=(0.0, highest[group] or 1.0))[0]
    scales = {
        group: 1.0 if integral[group] and highest[group] <= LEVELS + 1 else best_scale(counts[group], highest[group])
        for group in groups
    }
    return {name: scales[group] for name, group in group_of.items()}


def channel_steps(
    model: onnx.ModelProto, tensors: Sequence[str], pictures: Sequence[NDArray[np.uint8]]
) -> dict[str, NDArray[np.float64]]:
    """Of each tensor (1, C, H, W), the step (C,) that would suit every channel alone; 0 where it is always 0."""
    values = _watch(model, tensors, pictures)
    highest: dict[str, NDArray[np.float64]] = {}
    for name, value in values():
        largest = np.abs(value[0]).max(axis=(1, 2), initial=0.0).astype(np.float64)
        highest[name] = np.maximum(highest.get(name, largest), largest)
    _require_finite({name: float(tops.max(initial=0.0)) for name, tops in highest.items()})
    counts = {name: np.zeros((tops.size, _BINS), np.int64) for name, tops in highest.items()}
    for name, value in values():
        tops = np.where(highest[name] > 0.0, highest[name], 1.0)
        for channel, plane in enumerate(np.abs(value[0])):
            bins = np.minimum((plane.ravel() * (_BINS / tops[channel])).astype(np.int32), _BINS - 1)
            counts[name][channel] += np.bincount(bins, minlength=_BINS)
    return {
        name: np.array([best_scale(c, top) if top > 0.0 else 0.0 for c, top in zip(counts[name], tops, strict=True)])
        for name, tops in highest.items()
    }


def best_scale(counts: NDArray[np.int64], highest: float) -> float:
    """Step with the least mean square error for values whose magnitudes have histogram `counts` over [0, highest]."""
    if highest <= 0.0:
        return 1.0
    centres = (np.arange(counts.size) + 0.5) * (highest / counts.size)
    best, least = highest / LEVELS, np.inf
    for share in np.linspace(0.1, 1.0, 91):
        scale = share * highest / LEVELS
        back = np.minimum(np.rint(centres / scale), LEVELS) * scale
        error = float((counts * (back - centres) ** 2).sum())
        if error < least:
            best, least = scale, error
    return float(best)


def _watch(
    model: onnx.ModelProto, tensors: Sequence[str], pictures: Sequence[NDArray[np.uint8]]
) -> Callable[[], Iterator[tuple[str, NDArray[np.float32]]]]:
    """A way to go through the values of `tensors` on `pictures`, again at each call.

    Big pictures go through in pieces, so that the watched tensors together stay within a quarter of a gigabyte.
    """
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    present = {port.name for port in model.graph.output}
    watched = list(tensors)
    probe.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in watched if name not in present)
    session = open_float(probe)
    height, width = _piece(session, watched, pictures[0])
    exact = isinstance(session.get_inputs()[0].shape[1], int)

    def values() -> Iterator[tuple[str, NDArray[np.float32]]]:
        for picture in pictures:
            for piece in windows(picture, height, width, exact=exact):
                yield from zip(watched, run_on(session, watched, piece), strict=True)

    return values


def _piece(session: onnxruntime.InferenceSession, tensors: list[str], picture: NDArray[np.uint8]) -> tuple[int, int]:
    """Height and width that pictures are cut to: the network's own, or as large as the budget allows."""
    _, height, width, _ = session.get_inputs()[0].shape
    if isinstance(height, int) and isinstance(width, int):
        return height, width
    sample = next(windows(picture, _GRAIN, _GRAIN, exact=True))
    per_pixel = sum(value.nbytes for value in run_on(session, tensors, sample)) / _GRAIN**2
    side = int(np.sqrt(_BUDGET_BYTES / max(per_pixel, 1.0))) // _GRAIN * _GRAIN
    side = int(np.clip(side, _GRAIN, _LARGEST))
    return side, side


def run_on(
    session: onnxruntime.InferenceSession, tensors: list[str], picture: NDArray[np.uint8]
) -> list[NDArray[np.float32]]:
    """Values of `tensors` on `picture` (H, W, 3). Raises EngineError when the network does not take its size."""
    feed = {session.get_inputs()[0].name: np.ascontiguousarray(picture)[np.newaxis]}
    try:
        answers: list[NDArray[np.float32]] = session.run(tensors, feed)
    except ORT_ERRORS as error:
        raise EngineError(
            f"The network does not run on a picture of {picture.shape[1]} x {picture.shape[0]} px: {first_line(error)}",
            remedy="Give pictures of a size the network takes, or export it with one fixed input size.",
        ) from error
    return answers


def _require_finite(highest: Mapping[str, float]) -> None:
    broken = sorted(name for name, value in highest.items() if not np.isfinite(value))
    if broken:
        raise EngineError(
            f"The network gives infinite or undefined values on the calibration pictures ({broken[0]}).",
            remedy="Export a network that was trained to the end, and check how it wants its pixels scaled.",
        )
