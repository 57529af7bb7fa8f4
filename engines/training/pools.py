"""Samples made once and kept: making them costs more than training on them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from engines.training.targets import Sample

_log = logging.getLogger(__name__)

_GROUP = 12

Make = Callable[[np.random.Generator, int], Sample]


def build_pool(folder: Path, count: int, seed: int, make: Make, workers: int = 0) -> list[Sample]:
    """`count` samples of one size, read from `folder`; those that it lacks are made and written there first.

    make(rng, index): rng depends on `seed` and index alone, so that a pool is the same however often it was
    interrupted, and whoever made which part. Samples are kept in groups of twelve, one file each.
    workers: processes that make groups side by side; 0: made here. Raises ChildProcessError when one of them fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    groups = [range(first, min(first + _GROUP, count)) for first in range(0, count, _GROUP)]
    missing = [group for group in groups if not _file(folder, group).is_file()]
    if workers and missing:
        cv2.setNumThreads(1)  # a worker forked from a process with OpenCV's own threads would wait for them for ever
        context = get_context("fork")  # `make` may be a closure
        started = [
            context.Process(target=_make_groups, args=(folder, missing[first::workers], seed, make))
            for first in range(workers)
        ]
        for process in started:
            process.start()
        for process in started:
            process.join()
        if any(process.exitcode for process in started):
            raise ChildProcessError(f"A process that makes samples for {folder} failed; its message stands above.")
    else:
        _make_groups(folder, missing, seed, make)
    samples: list[Sample] = []
    for group in groups:
        with np.load(_file(folder, group)) as kept:
            pictures, targets, masks = kept["pictures"], kept["targets"], kept["masks"]
        samples += [Sample(p, t, m) for p, t, m in zip(pictures, targets, masks, strict=True)]
    return samples


def _file(folder: Path, group: range) -> Path:
    return folder / f"{group.start:05d}-{len(group)}.npz"


def _make_groups(folder: Path, groups: Sequence[range], seed: int, make: Make) -> None:
    started = time.monotonic()
    for done, group in enumerate(groups, 1):
        samples = [make(np.random.default_rng([seed, index]), index) for index in group]
        path = _file(folder, group)
        fresh = path.with_suffix(".new.npz")
        np.savez(
            fresh,
            pictures=np.stack([s.picture for s in samples]),
            targets=np.stack([s.target for s in samples]),
            masks=np.stack([s.mask for s in samples]),
        )
        fresh.replace(path)
        if done % 5 == 0 or done == len(groups):
            left = (time.monotonic() - started) / done * (len(groups) - done)
            _log.info("%s: %d of %d groups of samples, %.0f s left", folder.name, done, len(groups), left)
