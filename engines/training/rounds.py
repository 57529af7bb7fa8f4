"""Training in rounds: after each, the samples are searched for what the network still gets wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engines.training.loop import Schedule, train
from engines.training.mining import mine
from engines.training.network import HeatmapNet
from engines.training.targets import Sample

_ROUNDS = 2
_GENTLER = 0.5  # a network that knows something is taught with smaller steps


class MakeSample(Protocol):
    """Makes one window for a slot of the batch; hard: cells of the pool worth another look (`mining.mine`), or None."""

    def __call__(self, rng: np.random.Generator, slot: int, hard: NDArray[np.int64] | None) -> Sample:
        """The window."""


def train_in_rounds(
    net: HeatmapNet,
    pool: Sequence[Sample],
    separation_px: float,
    make_sample: MakeSample,
    schedule: Schedule,
    out: Path,
    *,
    knows: bool,
) -> HeatmapNet:
    """Train `net` in place, half of the steps in each of two rounds, and return it ready for export.

    separation_px: between two objects. knows: whether `net` has learned already, so that the first round mines too.
    out: a folder for each round is made there, in which a stopped run is taken up again.
    """
    for index in range(_ROUNDS):
        folder = out / f"round-{index + 1}"
        hard = mine(net, pool, separation_px, folder / "hard.npy") if knows else None
        train(
            net,
            partial(make_sample, hard=hard),
            replace(
                schedule,
                steps=schedule.steps // _ROUNDS,
                seed=schedule.seed + 1000 * index,
                rate=schedule.rate * (_GENTLER if knows else 1.0),
            ),
            folder,
        )
        knows = True
    return net
