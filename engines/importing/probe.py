"""Find out by running it what a network answers: a map at some stride, or one answer for a whole picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from engines.calibration import windows
from engines.errors import EngineError
from engines.float_network import first_line, open_float
from engines.importing.ports import Ports
from engines.importing.wrap import Head
from engines.ort_errors import ORT_ERRORS
from engines.package import Tiling

Build = Callable[[tuple[int, int] | None], onnx.ModelProto]
"""Size of the input (None: any) → the network from uint8 pixels to its raw answer."""

DEFAULT_TILE = 512
_TRIAL = (256, 320)
_ODD = (203, 331)
_WANTED = "A heat map answers (1, labels, H / stride, W / stride), a field classifier (1, classes)."


@dataclass(frozen=True)
class Answer:
    """What the network answers. shape: of the raw answer on a picture of `size`; size: None where any size will do.

    stride: pixels between cells. tiling: how frames are cut, None for a map at any size.
    """

    shape: tuple[int, ...]
    size: tuple[int, int] | None
    stride: int
    tiling: Tiling | None


def probe(
    build: Build, ports: Ports, picture: NDArray[np.uint8], *, tile_px: int | None = None, step_px: int | None = None
) -> Answer:
    """Run the network on parts of `picture`, uint8 (H, W, 3), and say what it answers.

    tile_px: side of the pictures of a network that takes any size, when it must be fixed; step_px: distance of tiles of
    a field classifier, half a tile when not given. Raises EngineError when the answer is not understood.
    """
    declared = (ports.height, ports.width) if ports.height is not None and ports.width is not None else None
    if declared is not None and tile_px is not None and declared != (tile_px, tile_px):
        raise EngineError(
            f"The network is fixed to pictures of {declared[1]} x {declared[0]} px, not {tile_px}.",
            remedy="Leave out --tile, or export the network for any size.",
        )
    trial = declared or _TRIAL
    shape = _shape(build(declared), picture, trial)
    if len(shape) == 2 or (len(shape) == 4 and shape[2:] == (1, 1)):
        return _field(shape, declared, tile_px, step_px)
    if len(shape) != 4 or shape[0] != 1:
        raise EngineError(f"The network answers {shape} to a picture of {trial[1]} x {trial[0]} px.", remedy=_WANTED)
    stride = _stride(shape, trial)
    if _takes_any_size(build, picture, stride):
        return Answer(shape, None, stride, None)
    size = declared or (tile_px or DEFAULT_TILE,) * 2
    shape = _shape(build(size), picture, size)
    overlap = max(1, min(size) // (8 * stride)) * stride
    return Answer(
        shape,
        size,
        _stride(shape, size),
        Tiling(
            answers="map", height_px=size[0], width_px=size[1], overlap_px=overlap if 4 * overlap < min(size) else 0
        ),
    )


def require_probabilities(answers: Sequence[NDArray[np.float32]], head: Head) -> None:
    """Raise EngineError when `answers`, the network's maps of some pictures after `head`, are no probabilities."""
    low, high = min(float(a.min()) for a in answers), max(float(a.max()) for a in answers)
    if not (np.isfinite(low) and np.isfinite(high)):
        raise EngineError("The network answers infinite or undefined values.", remedy=_WANTED)
    if low < -1e-4 or high > 1 + 1e-4:
        raise EngineError(
            f"The network answers values from {low:.3g} to {high:.3g}, which are no probabilities.",
            remedy="If they are logits, say so: --head sigmoid, or --head softmax for classes that exclude each other.",
        )
    if head == "sigmoid" and low >= 0.5 - 1e-6 and high <= 0.7311 + 1e-4:
        raise EngineError(
            f"After the sigmoid all answers lie from {low:.3f} to {high:.3f}: it seems that they were probabilities.",
            remedy="Leave out --head when the network gives probabilities itself.",
        )


def _field(
    shape: tuple[int, ...], declared: tuple[int, int] | None, tile_px: int | None, step_px: int | None
) -> Answer:
    if declared is None and tile_px is None:
        raise EngineError(
            "The network gives one answer for a picture of any size; how large a field it was trained on is not known.",
            remedy="Say how many pixels a field has with --tile.",
        )
    size = declared or (tile_px or 0,) * 2
    step = step_px or max(1, min(size) // 2)
    if step > min(size):
        raise EngineError(
            f"Tiles of {size[1]} x {size[0]} px at steps of {step} px would leave gaps.",
            remedy="Choose a smaller --step.",
        )
    return Answer(shape, size, step, Tiling(answers="field", height_px=size[0], width_px=size[1]))


def _stride(shape: tuple[int, ...], size: tuple[int, int]) -> int:
    ratios = {size[0] / shape[2], size[1] / shape[3]} if min(shape[2:]) else {0.0}
    stride = ratios.pop()
    if ratios or stride < 1 or stride != int(stride):
        raise EngineError(
            f"The network answers {shape} to a picture of {size[1]} x {size[0]} px: its cells do not lie a whole "
            "number of pixels apart, the same in both directions.",
            remedy=_WANTED,
        )
    return int(stride)


def _takes_any_size(build: Build, picture: NDArray[np.uint8], stride: int) -> bool:
    """Whether the network runs at an odd size and gives a cell for each `stride` pixels there."""
    try:
        rows, columns = _shape(build(None), picture, _ODD)[2:]
    except EngineError:
        return False
    return all(
        length // stride <= cells <= -(-length // stride) for length, cells in zip(_ODD, (rows, columns), strict=True)
    )


def _shape(model: onnx.ModelProto, picture: NDArray[np.uint8], size: tuple[int, int]) -> tuple[int, ...]:
    piece = next(windows(picture, *size, exact=True))
    session = open_float(model)
    try:
        answer: NDArray[np.float32] = session.run(None, {session.get_inputs()[0].name: piece[np.newaxis]})[0]
    except ORT_ERRORS as error:
        raise EngineError(
            f"The network does not run on a picture of {size[1]} x {size[0]} px: {first_line(error)}",
            remedy="Export it for any size, or with one fixed input size.",
        ) from error
    if answer.dtype != np.float32:
        raise EngineError(f"The network answers {answer.dtype}, not float32.", remedy=_WANTED)
    return tuple(answer.shape)
