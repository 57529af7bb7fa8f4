"""Whether INT8 changed what the network says: the same ranks, the same slides, the same cells found."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from engines.onnx_cpu import OnnxCpuScorer

Probabilities = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
_NOTHING = 0.018  # probability of logit -4: ranks among cells where both say "nothing" mean nothing


def rank_parity(full: Probabilities, scorer: OnnxCpuScorer, pictures: Sequence[NDArray[np.uint8]]) -> float:
    """Spearman's correlation of FP32 and INT8 for the target, over the cells where FP32 sees something.

    Raises ValueError when FP32 sees nothing in any of `pictures`.
    """
    before, after = [], []
    for picture in pictures:
        wide, narrow = full(picture)[0], scorer.probabilities(picture)[0]
        there = wide > _NOTHING
        before.append(wide[there])
        after.append(narrow[there])
    one, other = np.concatenate(before), np.concatenate(after)
    if one.size < 2:
        raise ValueError("the FP32 network sees nothing in these pictures")
    return float(spearmanr(one, other).statistic)
