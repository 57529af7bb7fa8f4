"""How far the INT8 package, as the runtime runs it, is from the FP32 network it was made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.float_network import open_float
from engines.gates import Gate, rank_gate
from engines.importing.probe import Answer
from engines.package import Parity
from engines.packaging import INPUT_NAME, OUTPUT_NAME
from engines.tiles import tiled_maps

Probabilities = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""uint8 RGB (H, W, 3) → maps (labels, rows, columns)."""

FLOOR = 0.02
"""Where both networks answer less, both say "nothing", and ranks mean nothing."""
_ENOUGH = 50


def float_probabilities(model: onnx.ModelProto, answer: Answer, threads: int = 1) -> Probabilities:
    """The FP32 network with INPUT_NAME and OUTPUT_NAME on pictures of any size, tiled as the package is."""
    session = open_float(model, threads)

    def run(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        feed = {INPUT_NAME: np.ascontiguousarray(picture)[np.newaxis]}
        maps: NDArray[np.float32] = session.run([OUTPUT_NAME], feed)[0][0]
        return maps

    tiling = answer.tiling
    return run if tiling is None else lambda picture: tiled_maps(run, picture, tiling, answer.stride)


def compare(
    fp32: Probabilities, int8: Probabilities, labels: int, pictures: Sequence[NDArray[np.uint8]]
) -> tuple[Parity, Gate]:
    """Both networks on `pictures`: ranks of the label that agrees least, and the largest difference of all.

    Ranks are taken over the places where either answers at least FLOOR; over all of them where these are too few.
    Raises EngineError when the FP32 network gives the same answer everywhere: then nothing can be compared.
    """
    answers = [(fp32(picture).reshape(labels, -1), int8(picture).reshape(labels, -1)) for picture in pictures]
    wide = np.concatenate([one for one, _ in answers], axis=1).astype(np.float64)
    narrow = np.concatenate([other for _, other in answers], axis=1).astype(np.float64)
    gates = [_gate(one, other) for one, other in zip(wide, narrow, strict=True)]
    worst = min(gates, key=lambda gate: gate.value if np.isfinite(gate.value) else -2.0)
    if not np.isfinite(worst.value):
        raise EngineError(
            "On the held-back pictures a label of the network has the same probability everywhere, in FP32 or in INT8.",
            remedy="Give pictures that show what the network looks for, or a network that was trained.",
        )
    parity = Parity(
        pictures=len(pictures),
        scores=worst.n,
        spearman=round(worst.value, 5),
        max_abs_delta=round(float(np.abs(wide - narrow).max()), 5),
    )
    return parity, worst


def _gate(wide: NDArray[np.float64], narrow: NDArray[np.float64]) -> Gate:
    there = np.maximum(wide, narrow) >= FLOOR
    if int(there.sum()) < _ENOUGH:
        there = np.ones_like(there)
    return rank_gate(wide[there], narrow[there])
