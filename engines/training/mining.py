"""Hard examples: where a network that has learned something is still wrong on the samples it learns from.

Objects of the target are rare and most others easy, so that a window drawn by chance teaches little by now. Source of
the practice: domain reference 6.3; Shrivastava et al., Training region-based object detectors with online hard example
mining, 2016.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engines.decode import find_peaks
from engines.training.network import HeatmapNet
from engines.training.targets import Sample

_log = logging.getLogger(__name__)

_EMPTY = 0.05  # of a bump: cells below it lie on no object of the label
_INVENTED, _MISSED = 0.02, 0.5  # probabilities beyond which an answer is wrong enough to be worth another look
_PER_SAMPLE = 8


def mine(net: HeatmapNet, pool: Sequence[Sample], separation_px: float, kept: Path) -> NDArray[np.int64]:
    """Cells (N, 3), sample, row and column, at which the first label is invented or missed; read from `kept` if there.

    The worst inventions, and misses drawn by chance: of each eight a sample at most, on average.
    """
    if kept.is_file():
        return np.asarray(np.load(kept), np.int64)
    net.eval()
    invented: list[tuple[float, int, int, int]] = []
    missed: list[tuple[int, int, int]] = []
    for index, sample in enumerate(pool):
        heat = _heat(net, sample.picture)
        target, known = sample.target[0], sample.mask[0] > 0
        peaks = find_peaks(heat, net.stride, separation_px, _INVENTED)
        rows = np.clip(np.rint(peaks.y_px / net.stride), 0, heat.shape[0] - 1).astype(np.intp)
        cols = np.clip(np.rint(peaks.x_px / net.stride), 0, heat.shape[1] - 1).astype(np.intp)
        wrong = known[rows, cols] & (target[rows, cols] < _EMPTY)
        invented += [
            (float(score), index, int(row), int(col))
            for score, row, col in zip(peaks.probability[wrong], rows[wrong], cols[wrong], strict=True)
        ]
        missed += [(index, int(row), int(col)) for row, col in np.argwhere((target == 1.0) & known & (heat < _MISSED))]
    limit = _PER_SAMPLE * len(pool)
    worst = [place for _, *place in sorted(invented, reverse=True)[:limit]]
    drawn = np.random.default_rng(0).permutation(len(missed))[:limit]
    _log.info("hard examples: %d of %d invented, %d of %d missed", len(worst), len(invented), len(drawn), len(missed))
    hard = np.array([*worst, *(missed[i] for i in drawn)], np.int64).reshape(-1, 3)
    kept.parent.mkdir(parents=True, exist_ok=True)
    fresh = kept.with_suffix(".new.npy")
    np.save(fresh, hard)
    fresh.replace(kept)
    return hard


def _heat(net: HeatmapNet, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The first label's probability map (h, w)."""
    pixels = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)[None])).float()
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        logits = net(pixels.contiguous(memory_format=torch.channels_last))
    return np.asarray(torch.sigmoid(logits.float())[0, 0].numpy(), np.float32)
