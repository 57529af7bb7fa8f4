"""Samples made once and kept: making them costs more than training on them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engines.training.targets import Sample

_log = logging.getLogger(__name__)


def build_pool(path: Path, count: int, seed: int, make: Callable[[np.random.Generator, int], Sample]) -> list[Sample]:
    """`count` samples of one size, read from `path` when it holds enough of them, made and written there otherwise.

    make(rng, index): rng depends on `seed` and index alone, so that a pool is the same however it was interrupted.
    """
    if path.is_file():
        with np.load(path) as kept:
            pictures, targets, masks = kept["pictures"], kept["targets"], kept["masks"]
        if len(pictures) >= count:
            return [Sample(p, t, m) for p, t, m in zip(pictures[:count], targets, masks, strict=False)]
    started = time.monotonic()
    samples: list[Sample] = []
    for index in range(count):
        samples.append(make(np.random.default_rng([seed, index]), index))
        if (index + 1) % 50 == 0 or index + 1 == count:
            left = (time.monotonic() - started) / (index + 1) * (count - index - 1)
            _log.info("%s: %d of %d samples, %.0f s left", path.stem, index + 1, count, left)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.stem}.new.npz")
    np.savez(
        fresh,
        pictures=np.stack([s.picture for s in samples]),
        targets=np.stack([s.target for s in samples]),
        masks=np.stack([s.mask for s in samples]),
    )
    fresh.replace(path)
    return samples
